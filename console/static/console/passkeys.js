// Asks the browser for a passkey and puts its answer into the form around. Without this file codes do.

const bytesOf = (text) =>
    Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
const textOf = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer)))
        .replaceAll("+", "-")
        .replaceAll("/", "_")
        .replaceAll("=", "");

const known = (each) => ({ ...each, id: bytesOf(each.id) });

function unpacked(options) {
    const told = { ...options, challenge: bytesOf(options.challenge) };
    if (options.user) {
        told.user = { ...options.user, id: bytesOf(options.user.id) };
    }
    for (const name of ["allowCredentials", "excludeCredentials"]) {
        if (options[name]) {
            told[name] = options[name].map(known);
        }
    }
    return told;
}

function packed(credential) {
    const response = {};
    for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
        if (credential.response[name]) {
            response[name] = textOf(credential.response[name]);
        }
    }
    return JSON.stringify({ id: textOf(credential.rawId), rawId: textOf(credential.rawId), type: credential.type, response });
}

async function question(box, form) {
    if (box.dataset.options) {
        return JSON.parse(box.dataset.options);
    }
    const token = form.elements.namedItem("csrfmiddlewaretoken").value;
    const answer = await fetch(box.dataset.question, { method: "POST", headers: { "X-CSRFToken": token } });
    const told = await answer.json().catch(() => ({ error: "The console gave no answer: load the page again." }));
    if (told.error) {
        throw new Error(told.error);
    }
    return told;
}

function why(trouble) {
    const told = {
        InvalidStateError: "This device has a passkey for you here already.",
        NotAllowedError: "No passkey was used: it was cancelled, took too long, or there is none on this device.",
        SecurityError: "The browser refuses passkeys at this address.",
        TypeError: "The console cannot be reached: try again.",
    };
    return told[trouble.name] ?? trouble.message;
}

async function use(box, form) {
    const asked = await question(box, form);
    if (asked.origin !== window.location.origin) {
        throw new Error(`Passkeys work at ${asked.origin} only: open the console there.`);
    }
    const publicKey = unpacked(asked.publicKey);
    const isNew = "options" in box.dataset;
    const credential = await (isNew ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }));
    form.elements.namedItem("passkey").value = packed(credential);
}

function offer(box) {
    const form = box.closest("form");
    const button = box.querySelector("button");
    const note = box.querySelector("[role='status']");
    if (!window.isSecureContext || !window.PublicKeyCredential) {
        note.textContent = window.isSecureContext
            ? "This browser knows no passkeys."
            : "Passkeys work over https, or at localhost, only.";
        return;
    }
    note.textContent = "";
    button.hidden = false;
    if ("submits" in box.dataset) {
        button.focus(); // it is what the page is for; the code's field has the focus where there is no script
    }
    button.addEventListener("click", async () => {
        button.disabled = true;
        note.textContent = "Waiting for the passkey.";
        try {
            await use(box, form);
            note.textContent = "The passkey has answered.";
            if ("submits" in box.dataset) {
                form.submit();
                return;
            }
            form.elements.namedItem("code").required = false;
            note.textContent += " Send the form within five minutes.";
        } catch (trouble) {
            note.textContent = why(trouble);
        }
        button.disabled = false;
    });
}

for (const box of document.querySelectorAll("[data-passkey]")) {
    offer(box);
}
