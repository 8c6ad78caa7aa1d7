"use strict";
// Live figures, the mode of an open tab, copy buttons and two-key shortcuts. Every page works without this file.

(() => {
    const isTyping = () => {
        const focused = document.activeElement;
        return focused !== null && (focused.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(focused.tagName));
    };

    const isSelecting = () => {
        const selection = window.getSelection();
        return selection !== null && !selection.isCollapsed;
    };

    const isLive = (event) => event.target instanceof Element && event.target.hasAttribute("data-live");

    function showStale() {
        const banner = document.getElementById("stale-banner");
        const readAt = document.querySelector("[id$='-read-at'] time");
        if (banner && banner.hidden) {
            document.getElementById("stale-since").textContent = readAt ? readAt.textContent : "an unknown time";
            banner.hidden = false;
            document.body.classList.add("console-is-stale");
        }
    }

    function hideStale() {
        const banner = document.getElementById("stale-banner");
        if (banner) {
            banner.hidden = true;
            document.body.classList.remove("console-is-stale");
        }
    }

    // nobody looks, or somebody is marking figures to copy: leave them alone
    document.addEventListener("htmx:beforeRequest", (event) => {
        if (isLive(event) && (document.hidden || isSelecting())) {
            event.preventDefault();
        }
    });
    for (const trouble of ["htmx:sendError", "htmx:responseError", "htmx:timeout", "htmx:sendAbort"]) {
        document.addEventListener(trouble, (event) => {
            if (isLive(event)) {
                showStale();
            }
        });
    }
    document.addEventListener("htmx:afterRequest", (event) => {
        if (isLive(event) && event.detail.successful) {
            hideStale();
        }
    });
    // the status line is read aloud when it changes: the same words again are no change
    document.addEventListener("htmx:oobBeforeSwap", (event) => {
        if (event.detail.target.matches("p[role='status'][id$='-status']")) {
            event.detail.shouldSwap = event.detail.target.textContent.trim() !== event.detail.fragment.textContent.trim();
        }
    });

    // Not by htmx: where the session has ended, a page with a half-filled form stays, and says that its mode is old.
    async function askMode(banner) {
        if (document.hidden) {
            return;
        }
        let told = null;
        try {
            const asked = { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(8_000) };
            const answer = await fetch(banner.dataset.address, asked);
            told = answer.ok ? await answer.text() : null;
        } catch {
            // told below
        }
        document.getElementById("mode-stale").hidden = told !== null;
        if (told !== null) {
            showMode(banner, told);
        }
    }

    function showMode(banner, told) {
        const fresh = document.createElement("p");
        fresh.innerHTML = told;
        if (fresh.textContent.trim() === banner.textContent.trim()) {
            return; // the same words again are no change, and would be read aloud
        }
        const mode = fresh.querySelector("strong").textContent;
        banner.replaceChildren(...fresh.childNodes);
        banner.parentElement.className = `console-mode console-mode--${mode.toLowerCase()}`;
        document.title = document.title.replace(/^\[\w+\]/, `[${mode}]`);
    }

    function followMode(banner) {
        const ask = () => askMode(banner);
        window.setInterval(ask, Number(banner.dataset.pollSeconds) * 1_000);
        document.addEventListener("visibilitychange", ask);
        window.addEventListener("pageshow", ({ persisted }) => persisted && ask()); // back to a page that was kept
    }

    async function copy(button) {
        const text = button.dataset.copy;
        try {
            await navigator.clipboard.writeText(text); // absent on plain HTTP: the catch selects the text instead
            button.textContent = "Copied";
        } catch {
            const range = document.createRange();
            range.selectNodeContents(button.previousElementSibling);
            const selection = window.getSelection();
            selection.removeAllRanges();
            selection.addRange(range);
            button.textContent = "Selected";
        }
    }

    document.addEventListener("DOMContentLoaded", () => {
        document.documentElement.classList.add("console-has-script");
        const banner = document.getElementById("mode-banner");
        if (banner) {
            followMode(banner);
        }
        for (const button of document.querySelectorAll("[data-copy]")) {
            button.hidden = false;
            button.addEventListener("click", () => copy(button));
        }
    });

    let wentAt = 0;
    document.addEventListener("keydown", (event) => {
        if (isTyping() || event.ctrlKey || event.metaKey || event.altKey) {
            return;
        }
        if (event.key === "g") {
            wentAt = event.timeStamp;
        } else if (event.key === "o" && event.timeStamp - wentAt < 1_000) {
            const home = document.querySelector("#site-name a, a[data-home]");
            if (home) {
                window.location.assign(home.href);
            }
        }
    });
})();
