"use strict";
// Gives Alpine's CSP build what the theme's templates name: that build reads names from its scope only, never from the page's
// globals. The theme's own factories (`theme`, `searchCommand`) are loaded after this file and before Alpine starts.

document.addEventListener("alpine:init", () => {
    const themeFactory = window.theme;
    const searchCommandFactory = window.searchCommand;
    // `const` at the top of a classic script is no property of window
    const moveRecordsOfTheme = typeof moveRecords === "function" ? moveRecords : () => undefined;

    const address = {
        get pathname() {
            return window.location.pathname;
        },
        get search() {
            return window.location.search;
        },
    };

    window.Alpine.data("theme", (...settings) =>
        Object.assign(themeFactory(...settings), {
            getCurrentTab: window.getCurrentTab,
            sortRecords: window.sortRecords,
            moveRecords: moveRecordsOfTheme,
            window: { location: address },
            sidebarStyle() {
                return `width: ${this.sidebarWidth}px`;
            },
            resizeSidebar(isOn, narrowest, widest, event) {
                if (!isOn) {
                    return;
                }
                const sidebar = document.getElementById("nav-sidebar");
                const isRightToLeft = getComputedStyle(document.documentElement).direction === "rtl";
                const width = isRightToLeft ? sidebar.getBoundingClientRect().right - event.clientX : event.clientX;
                this.sidebarWidth = Math.min(widest, Math.max(narrowest, width));
                localStorage.setItem("sidebarWidth", this.sidebarWidth);
            },
        }),
    );
    window.Alpine.data("searchCommand", searchCommandFactory);
});
