// The terminal's place on the page: asks for the token, explains what went wrong, connects again.

import { announce } from "../announce.ts";
import { ApiError, getTerminal } from "../api.ts";
import { byId, setText } from "../dom.ts";
import type { Ending, Session } from "../terminal/session.ts";
import { copyButton } from "./copy.ts";

// RFC 9110, section 5.6.2: it travels as a WebSocket subprotocol.
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

const STORED = "appos.terminal.token";

export class TerminalView {
    readonly #form = byId("terminal-form", HTMLFormElement);
    readonly #token = byId("terminal-token", HTMLInputElement);
    readonly #open = byId("terminal-open", HTMLButtonElement);
    readonly #error = byId("terminal-error", HTMLElement);
    readonly #actions = byId("terminal-actions", HTMLElement);
    readonly #state = byId("terminal-state", HTMLElement);
    readonly #reconnect = byId("terminal-reconnect", HTMLButtonElement);
    readonly #close = byId("terminal-close", HTMLButtonElement);
    readonly #screen = byId("terminal-screen", HTMLElement);
    readonly #hint = byId("terminal-hint", HTMLElement);
    #session: Session | undefined;

    constructor() {
        const command = byId("terminal-command", HTMLElement);
        command.append(copyButton(() => command.querySelector("code")?.textContent ?? ""));
        this.#token.value = sessionStorage.getItem(STORED) ?? "";
        this.#token.addEventListener("input", () => setText(this.#error, ""));
        this.#form.addEventListener("submit", (event) => {
            event.preventDefault();
            void this.#connect();
        });
        this.#reconnect.addEventListener("click", () => void this.#connect());
        this.#close.addEventListener("click", () => {
            this.#session?.close();
            this.#showForm("");
            this.#open.focus();
        });
    }

    async #connect(): Promise<void> {
        const token = this.#token.value.trim();
        if (!TOKEN.test(token)) {
            this.#showForm(
                token === ""
                    ? "The terminal needs the token that the command above prints."
                    : "This is not the token, which is one word. Copy the line that the command above prints.",
            );
            this.#token.focus();
            return;
        }
        setText(this.#error, "");
        setText(this.#state, "Connecting");
        this.#open.disabled = true;
        try {
            this.#session ??= await this.#load();
            this.#session.connect(token);
        } catch {
            this.#open.disabled = false;
            this.#showForm("The terminal could not be loaded. Is AppOS restarting? Try again in a moment.");
        }
    }

    async #load(): Promise<Session> {
        const { Session } = await import("../terminal/session.ts");
        return new Session(this.#screen, {
            opened: () => this.#opened(),
            ended: (ending) => void this.#ended(ending),
            leave: () => this.#close.focus(),
        });
    }

    #opened(): void {
        this.#open.disabled = false;
        sessionStorage.setItem(STORED, this.#token.value.trim());
        this.#form.hidden = true;
        this.#screen.hidden = false;
        this.#hint.hidden = false;
        this.#actions.hidden = false;
        this.#reconnect.hidden = true;
        // xterm.js takes the focus without scrolling, and draws nothing that cannot be seen.
        this.#screen.scrollIntoView({ block: "nearest" });
        this.#say("Connected");
    }

    async #ended({ opened, status, reason }: Ending): Promise<void> {
        this.#open.disabled = false;
        if (opened) {
            this.#reconnect.hidden = false;
            const left = this.#screen.contains(document.activeElement);
            if (status !== undefined) this.#say(`The shell has ended with status ${status}`);
            else this.#say(reason ? `Closed: ${reason}` : "The connection was lost");
            if (left) this.#reconnect.focus();
            return;
        }
        const { why, tokenIsWrong } = await whyRefused();
        if (!tokenIsWrong && this.#form.hidden) {
            this.#say(why);
            return;
        }
        this.#showForm(why);
        if (tokenIsWrong) {
            sessionStorage.removeItem(STORED);
            this.#token.select();
        }
    }

    #say(text: string): void {
        setText(this.#state, text);
        announce(`Terminal: ${text}`);
    }

    #showForm(error: string): void {
        this.#form.hidden = false;
        this.#screen.hidden = true;
        this.#hint.hidden = true;
        this.#actions.hidden = true;
        setText(this.#error, error);
    }
}

/** A browser does not tell a page why a WebSocket was refused, so the backend is asked what else it could be. */
async function whyRefused(): Promise<{ why: string; tokenIsWrong: boolean }> {
    try {
        const { enabled, full } = await getTerminal();
        if (!enabled) return { why: "The terminal is switched off in this container.", tokenIsWrong: false };
        if (full)
            return { why: "Too many terminals are open. Close one, then try again.", tokenIsWrong: false };
        return {
            why: "The token was not accepted. Run the command above again and copy the whole line that it prints. After many wrong ones it takes a minute until a right one is accepted.",
            tokenIsWrong: true,
        };
    } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        return { why: "AppOS does not answer right now. Try again when it is back.", tokenIsWrong: false };
    }
}
