// The answer to "does it work?": one sentence, and what to know about each trouble.

import { announce } from "../announce.ts";
import busyIcon from "../assets/busy.svg";
import lostIcon from "../assets/lost.svg";
import okIcon from "../assets/ok.svg";
import troubleIcon from "../assets/trouble.svg";
import type { Level, Problem, Report } from "../diagnose.ts";
import { byId, h, icon, keyed, type Row, setAttribute, setText, setTime } from "../dom.ts";
import { clock, duration } from "../format.ts";
import { copyButton } from "./copy.ts";

const FAVICONS: Record<Level, string> = {
    connecting: lostIcon,
    ok: okIcon,
    busy: busyIcon,
    trouble: troubleIcon,
    lost: lostIcon,
};

export class StatusView {
    readonly #section = byId("status", HTMLElement);
    readonly #title = byId("status-title", HTMLElement);
    readonly #summary = byId("status-summary", HTMLElement);
    readonly #favicon = byId("favicon", HTMLLinkElement);
    readonly #emblem = icon("connecting");
    readonly #problems = keyed<Problem>(
        byId("problems", HTMLElement),
        (problem) => problem.key,
        () => this.#row(),
    );
    /** When this page first saw a problem whose beginning nobody reports. */
    readonly #noticed = new Map<string, string>();
    #report: Report | undefined;
    #heardAt = 0;

    constructor() {
        byId("emblem", HTMLElement).append(this.#emblem.node);
    }

    /** `heardAt` is when the answer came that the report is made of, by the page's own clock. */
    show(report: Report, heardAt: number): void {
        // The first news is the headline itself, which is no interruption when it is good.
        const first = this.#report === undefined;
        if (this.#report?.title !== report.title && !(first && report.level === "ok")) announce(report.title);
        this.#report = report;
        this.#heardAt = heardAt;
        const keys = new Set(report.problems.map((problem) => problem.key));
        for (const key of this.#noticed.keys()) if (!keys.has(key)) this.#noticed.delete(key);
        for (const key of keys) if (!this.#noticed.has(key)) this.#noticed.set(key, new Date().toISOString());

        setAttribute(this.#section, "data-level", report.level);
        setText(this.#title, report.title);
        setText(this.#summary, report.summary);
        this.#summary.hidden = report.summary === "";
        this.#emblem.set(report.level);
        document.title = report.level === "connecting" ? "AppOS" : `${report.title} · AppOS`;
        setAttribute(this.#favicon, "href", FAVICONS[report.level]);
        this.#problems(report.problems);
    }

    /** Brings the durations up to date. */
    tick(): void {
        if (this.#report) this.#problems(this.#report.problems);
    }

    #row(): Row<Problem> {
        const title = h("h3");
        const time = h("time");
        const ago = h("span", { class: "muted" });
        const breaks = h("dd");
        const doing = h("p");
        const code = h("code");
        const command = h(
            "p",
            { class: "command" },
            code,
            copyButton(() => code.textContent ?? ""),
        );
        const detail = h("dd", { class: "detail" });
        const detailGroup = h("div", { class: "says" }, h("dt", {}, "It says"), detail);
        const node = h(
            "li",
            { class: "problem" },
            title,
            h(
                "dl",
                {},
                h("div", {}, h("dt", {}, "Since"), h("dd", {}, time, " ", ago)),
                h("div", {}, h("dt", {}, "What it breaks"), breaks),
                h("div", {}, h("dt", {}, "What is being done"), h("dd", {}, doing, command)),
                detailGroup,
            ),
        );
        return {
            node,
            update: (problem) => {
                const since = problem.since ?? this.#noticed.get(problem.key) ?? "";
                const date = new Date(since);
                const now = new Date();
                setAttribute(node, "data-level", problem.level);
                setAttribute(node, "data-key", problem.key);
                setText(title, problem.title);
                // The headline says it already.
                title.hidden = this.#report?.problems.length === 1;
                setTime(time, since, clock(date, now));
                // The two machines' clocks may differ, so a duration is of one of them.
                const milliseconds =
                    problem.seconds === undefined
                        ? now.getTime() - date.getTime()
                        : problem.seconds * 1000 + performance.now() - this.#heardAt;
                setText(ago, `(${duration(milliseconds / 1000)})`);
                setText(breaks, problem.breaks);
                setText(doing, problem.doing);
                setText(detail, problem.detail ?? "");
                detailGroup.hidden = !problem.detail;
                setText(code, problem.command ?? "");
                command.hidden = !problem.command;
            },
        };
    }
}
