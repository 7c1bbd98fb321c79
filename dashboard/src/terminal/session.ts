// A shell in the container, on a screen of xterm.js. Loaded when the terminal is first opened.

import "@xterm/xterm/css/xterm.css";
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import { openTerminal } from "./strict-csp.ts";

export interface Ending {
    /** Whether there was a connection at all. A refused token looks like any other failure to a page. */
    opened: boolean;
    /** The status of the shell, when it ended by itself. */
    status?: number;
    reason: string;
}

export interface Handlers {
    opened: () => void;
    ended: (ending: Ending) => void;
    /** The person wants to leave the terminal with the keyboard. */
    leave: () => void;
}

const PROTOCOL = "appos.terminal.v1";

// The same in light and dark: programs choose their colours for a dark screen.
const THEME: ITheme = {
    background: "#14181b",
    foreground: "#dfe3e6",
    cursor: "#7fd1c8",
    cursorAccent: "#14181b",
    selectionBackground: "#35535a",
    black: "#2a3036",
    red: "#f2938c",
    green: "#86d3a2",
    yellow: "#e6c07b",
    blue: "#8db9ee",
    magenta: "#d3a4e8",
    cyan: "#7fd1c8",
    white: "#dfe3e6",
    brightBlack: "#8b949c",
    brightRed: "#ffb0a9",
    brightGreen: "#a8e6bf",
    brightYellow: "#f3d79c",
    brightBlue: "#b2d2f8",
    brightMagenta: "#e5c4f4",
    brightCyan: "#a6e5de",
    brightWhite: "#ffffff",
};

export class Session {
    readonly #handlers: Handlers;
    readonly #terminal: Terminal;
    readonly #fit = new FitAddon();
    readonly #encoder = new TextEncoder();
    #socket: WebSocket | undefined;

    constructor(screen: HTMLElement, handlers: Handlers) {
        this.#handlers = handlers;
        this.#terminal = new Terminal({
            theme: THEME,
            // What a program paints stays readable, whatever colours it chooses.
            minimumContrastRatio: 4.5,
            cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
            fontFamily: getComputedStyle(screen).fontFamily,
            fontSize: 13,
            lineHeight: 1.25,
            scrollback: 5000,
        });
        this.#terminal.loadAddon(this.#fit);
        openTerminal(this.#terminal, screen);
        this.#terminal.attachCustomKeyEventHandler((event) => {
            if (event.key !== "F6") return true;
            if (event.type === "keydown") {
                event.preventDefault();
                this.#handlers.leave();
            }
            return false;
        });
        this.#terminal.onData((text) => this.#send(this.#encoder.encode(text)));
        this.#terminal.onBinary((text) =>
            this.#send(Uint8Array.from(text, (character) => character.charCodeAt(0))),
        );
        this.#terminal.onResize(() => this.#sendSize());
        new ResizeObserver(() => this.#fit.fit()).observe(screen);
    }

    /** Throws a SyntaxError when the token has characters that no token has. */
    connect(token: string): void {
        this.close();
        const address = new URL("/terminal", location.href);
        address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
        const socket = new WebSocket(address, [PROTOCOL, `appos.token.${token}`]);
        socket.binaryType = "arraybuffer";
        this.#socket = socket;
        let opened = false;
        let status: number | undefined;
        socket.addEventListener("open", () => {
            opened = true;
            this.#terminal.reset();
            this.#handlers.opened();
            this.#fit.fit();
            this.#sendSize();
            this.#terminal.focus();
        });
        socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
            if (typeof data !== "string") this.#terminal.write(new Uint8Array(data));
            else status = exitStatus(data) ?? status;
        });
        socket.addEventListener("close", ({ reason }) => {
            // An older connection has nothing to say about this one.
            if (this.#socket !== socket) return;
            this.#socket = undefined;
            this.#handlers.ended({ opened, reason, ...(status === undefined ? {} : { status }) });
        });
    }

    close(): void {
        const socket = this.#socket;
        this.#socket = undefined;
        socket?.close();
    }

    #send(bytes: Uint8Array<ArrayBuffer>): void {
        if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(bytes);
    }

    #sendSize(): void {
        const { cols, rows } = this.#terminal;
        if (this.#socket?.readyState === WebSocket.OPEN) {
            this.#socket.send(JSON.stringify({ type: "resize", cols, rows }));
        }
    }
}

function exitStatus(text: string): number | undefined {
    try {
        const message: unknown = JSON.parse(text);
        if (typeof message !== "object" || message === null) return undefined;
        if (!("type" in message) || message.type !== "exit" || !("code" in message)) return undefined;
        return Number(message.code);
    } catch {
        return undefined;
    }
}
