// Turns what was last heard into one sentence and, for each trouble, what a stranger needs to know about it.

import type { Health, Service } from "./api.ts";

export type Level = "connecting" | "ok" | "busy" | "trouble" | "lost";

/** `gateway`: nginx answers, the backend behind it does not. */
export type Link = "connecting" | "live" | "gateway" | "lost";

export interface Heard {
    link: Link;
    /** The time of the last answer, once the link is lost. */
    lastAnswer?: string | undefined;
    health?: Health | undefined;
    services?: readonly Service[] | undefined;
    /** Why supervisord's list is missing although the backend answers. */
    servicesError?: string | undefined;
}

export interface Problem {
    key: string;
    level: "busy" | "trouble" | "lost";
    title: string;
    since?: string | undefined;
    /** For how long, by the clock that `since` is of, when the answer came. */
    seconds?: number | undefined;
    breaks: string;
    doing: string;
    /** What to type, where typing helps. */
    command?: string | undefined;
    /** The error in the words of what noticed it. */
    detail?: string | undefined;
}

export interface Report {
    level: Level;
    title: string;
    summary: string;
    problems: Problem[];
}

interface Part {
    label: string;
    role: string;
    breaks: string;
}

const PARTS: Record<string, Part> = {
    redis: {
        label: "Redis",
        role: "Queue of tasks",
        breaks: "New tasks cannot be queued, and those in the queue wait until it is back.",
    },
    convex: {
        label: "Convex",
        role: "Realtime database",
        breaks: "Activity can be neither recorded nor shown.",
    },
    backend: {
        label: "Backend",
        role: "API, worker, terminal",
        breaks: "Tasks, settings, activity and the terminal are away. This page and nginx work.",
    },
    nginx: { label: "nginx", role: "Gateway", breaks: "Nothing can be reached from outside the container." },
    sqlite: {
        label: "SQLite",
        role: "Database file",
        breaks: "Settings can be neither read nor changed.",
    },
    supervisor: {
        label: "The supervisor",
        role: "Starts the services",
        breaks: "This page cannot show the states of the services, which may well be working.",
    },
};

export function part(name: string): Part {
    return PARTS[name] ?? { label: name, role: "Service", breaks: "Whatever depends on it." };
}

interface Phrase {
    level: "busy" | "trouble";
    title: string;
    short: string;
    doing: string;
    command?: boolean;
}

const GIVES_UP = "If it goes on failing, the container ends, so that it is started anew as a whole.";

/** What each state of supervisord means to somebody who has never heard of supervisord. */
const STATES: Record<string, Phrase> = {
    STARTING: {
        level: "busy",
        title: "is starting",
        short: "starting",
        doing: "It was started a moment ago and is not ready yet. Nothing needs to be done.",
    },
    STOPPING: {
        level: "busy",
        title: "is stopping",
        short: "stopping",
        doing: "It was told to stop, and finishes what it has begun.",
    },
    BACKOFF: {
        level: "trouble",
        title: "does not start",
        short: "failing",
        doing: `It ended right after its start and is being started again. ${GIVES_UP}`,
    },
    EXITED: {
        level: "trouble",
        title: "has ended",
        short: "ended",
        doing: `It is being started again. ${GIVES_UP}`,
    },
    STOPPED: {
        level: "trouble",
        title: "is stopped",
        short: "stopped",
        doing: "Somebody stopped it, so it stays stopped until somebody starts it:",
        command: true,
    },
    FATAL: {
        level: "trouble",
        title: "cannot be started",
        short: "given up",
        doing: "It was tried several times. The container ends now, so that it is started anew as a whole.",
    },
    UNKNOWN: {
        level: "trouble",
        title: "is in an unknown state",
        short: "unknown",
        doing: "The supervisor has lost track of it. Restarting it helps:",
        command: true,
    },
};

export interface Badge {
    level: Level;
    word: string;
}

/** The state of one service in a word. */
export function badge(service: Service, health: Health | undefined): Badge {
    const phrase = phraseOf(service);
    if (phrase) return { level: phrase.level, word: phrase.short };
    return health?.checks[service.name]?.ok === false
        ? { level: "trouble", word: "no answer" }
        : { level: "ok", word: "running" };
}

export function diagnose(heard: Heard): Report {
    switch (heard.link) {
        case "connecting":
            return {
                level: "connecting",
                title: "Looking",
                summary: "Asking AppOS how it is.",
                problems: [],
            };
        case "lost":
            return single("AppOS does not answer", {
                key: "link",
                level: "lost",
                title: "AppOS does not answer",
                since: heard.lastAnswer,
                breaks: "Everything. What stands below is what was last heard.",
                doing: "This page tries again by itself. A container that is restarting is back within seconds; if it is not, see what it said last:",
                command: "docker logs --tail 20 appos",
            });
        case "gateway":
            return single("The backend does not answer", {
                key: "backend",
                level: "trouble",
                title: "The backend does not answer",
                since: heard.lastAnswer,
                breaks: part("backend").breaks,
                doing: "A backend that ended is started again at once, and this page tries again by itself. If it was stopped by hand:",
                command: start("backend"),
            });
        case "live":
            return live(heard);
    }
}

function live({ health, services = [], servicesError }: Heard): Report {
    const problems: Problem[] = [];
    const explained = new Set<string>();
    for (const service of services) {
        const phrase = phraseOf(service);
        if (!phrase) continue;
        explained.add(service.name);
        problems.push({
            key: service.name,
            level: phrase.level,
            title: `${part(service.name).label} ${phrase.title}`,
            since: service.since,
            seconds: service.seconds,
            breaks: part(service.name).breaks,
            doing: phrase.doing,
            command: phrase.command ? start(service.name) : undefined,
            detail: health?.checks[service.name]?.error,
        });
    }
    for (const [name, check] of Object.entries(health?.checks ?? {})) {
        if (check.ok || explained.has(name)) continue;
        const runs = services.some((service) => service.name === name);
        problems.push({
            key: name,
            level: "trouble",
            title: `${part(name).label} ${runs ? "runs, but does not answer" : "does not answer"}`,
            breaks: part(name).breaks,
            doing: runs
                ? "It may be busy or starting, and is asked again every second. If it stays so, restart it:"
                : "It is asked again every second.",
            command: runs ? `docker exec appos supervisorctl restart ${name}` : undefined,
            detail: check.error,
        });
    }
    if (servicesError !== undefined) {
        problems.push({
            key: "supervisor",
            level: "busy",
            title: "The supervisor does not answer",
            breaks: part("supervisor").breaks,
            doing: "It is asked again every second.",
            detail: servicesError,
        });
    }
    if (problems.length === 0) return well(services, health);
    const trouble = problems.filter((problem) => problem.level === "trouble");
    const worst = trouble[0] ?? problems[0];
    return {
        level: trouble.length > 0 ? "trouble" : "busy",
        title: problems.length === 1 && worst ? worst.title : together(problems),
        summary: rest(services, health),
        problems,
    };
}

function well(services: readonly Service[], health: Health | undefined): Report {
    const checks = Object.keys(health?.checks ?? {}).length;
    return {
        level: "ok",
        title: "Everything works",
        summary: `${number(services.length, "service")} running, ${number(checks, "health check").toLowerCase()} passed.`,
        problems: [],
    };
}

function rest(services: readonly Service[], health: Health | undefined): string {
    const fine = services.filter((service) => badge(service, health).level === "ok");
    if (fine.length === 0) return "";
    const names = fine.map((service) => part(service.name).label);
    return `${names.join(", ").replace(/, ([^,]+)$/, " and $1")} ${fine.length === 1 ? "works" : "work"}.`;
}

function together(problems: readonly Problem[]): string {
    const names = problems.map((problem) => part(problem.key).label).join(", ");
    return `${number(problems.length, "thing")} need${problems.length === 1 ? "s" : ""} attention: ${names}`;
}

function single(title: string, problem: Problem): Report {
    return { level: problem.level, title, summary: "", problems: [problem] };
}

function phraseOf(service: Service): Phrase | undefined {
    return service.state === "RUNNING" ? undefined : (STATES[service.state] ?? STATES["UNKNOWN"]);
}

function start(name: string): string {
    return `docker exec appos supervisorctl start ${name}`;
}

const WORDS = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];

function number(n: number, noun: string): string {
    return `${WORDS[n] ?? n} ${noun}${n === 1 ? "" : "s"}`;
}
