import { describe, expect, test } from "vitest";
import type { Health, Service } from "../src/api.ts";
import { badge, diagnose } from "../src/diagnose.ts";

const SINCE = "2026-01-02T03:04:05Z";

function services(states: Record<string, string> = {}): Service[] {
    return ["redis", "convex", "backend", "nginx"].map((name) => ({
        name,
        state: states[name] ?? "RUNNING",
        since: SINCE,
        seconds: 10,
    }));
}

function health(errors: Record<string, string> = {}): Health {
    const check = (name: string) =>
        name in errors
            ? { ok: false, latency_ms: 0, error: errors[name] ?? "" }
            : { ok: true, latency_ms: 0.5 };
    return {
        status: "",
        checks: { redis: check("redis"), convex: check("convex"), sqlite: check("sqlite") },
    };
}

test("all is well", () => {
    expect(diagnose({ link: "live", health: health(), services: services() })).toEqual({
        level: "ok",
        title: "Everything works",
        summary: "Four services running, three health checks passed.",
        problems: [],
    });
});

describe("Redis is stopped", () => {
    const report = diagnose({
        link: "live",
        health: health({ redis: "connection refused" }),
        services: services({ redis: "STOPPED" }),
    });

    test("the headline names it, and what still works", () => {
        expect(report).toMatchObject({
            level: "trouble",
            title: "Redis is stopped",
            summary: "Convex, Backend and nginx work.",
        });
    });

    test("one problem tells since when, what it breaks, what is done and what to type", () => {
        expect(report.problems).toHaveLength(1);
        expect(report.problems[0]).toMatchObject({
            since: SINCE,
            command: "docker exec appos supervisorctl start redis",
            detail: "connection refused",
        });
        expect(report.problems[0]?.breaks).toContain("tasks cannot be queued");
        expect(report.problems[0]?.doing).toContain("stays stopped until");
    });
});

test.each([
    ["STARTING", "busy", "Redis is starting"],
    ["STOPPING", "busy", "Redis is stopping"],
    ["BACKOFF", "trouble", "Redis does not start"],
    ["EXITED", "trouble", "Redis has ended"],
    ["FATAL", "trouble", "Redis cannot be started"],
    ["UNKNOWN", "trouble", "Redis is in an unknown state"],
    ["a state of a later supervisord", "trouble", "Redis is in an unknown state"],
])("a service in state %s is %s", (state, level, title) => {
    const report = diagnose({ link: "live", health: health(), services: services({ redis: state }) });
    expect(report).toMatchObject({ level, title });
});

test("a service that runs and does not answer", () => {
    const heard = { link: "live" as const, health: health({ convex: "timeout" }), services: services() };
    expect(diagnose(heard)).toMatchObject({
        level: "trouble",
        title: "Convex runs, but does not answer",
        problems: [{ detail: "timeout", command: "docker exec appos supervisorctl restart convex" }],
    });
    expect(heard.services.map((service) => badge(service, heard.health).word)).toEqual([
        "running",
        "no answer",
        "running",
        "running",
    ]);
});

test("what is no service has nothing to restart", () => {
    const report = diagnose({
        link: "live",
        health: health({ sqlite: "disk I/O error" }),
        services: services(),
    });
    expect(report.title).toBe("SQLite does not answer");
    expect(report.problems[0]?.command).toBeUndefined();
});

test("several problems are counted and named", () => {
    const report = diagnose({
        link: "live",
        health: health({ redis: "refused", convex: "refused", sqlite: "locked" }),
        services: services({ redis: "STOPPED", convex: "STARTING" }),
    });
    expect(report).toMatchObject({
        level: "trouble",
        title: "Three things need attention: Redis, Convex, SQLite",
        summary: "Backend and nginx work.",
    });
});

test("services that this page knows nothing about are shown by their name", () => {
    const report = diagnose({
        link: "live",
        health: health(),
        services: [{ name: "mailer", state: "EXITED" }],
    });
    expect(report.title).toBe("mailer has ended");
});

test("health alone still says what does not answer", () => {
    const report = diagnose({
        link: "live",
        health: health({ redis: "refused" }),
        servicesError: "no such file",
    });
    expect(report.problems.map((problem) => problem.key)).toEqual(["redis", "supervisor"]);
    expect(report.level).toBe("trouble");
});

test("a backend that is away is not a container that is away", () => {
    expect(diagnose({ link: "gateway", lastAnswer: SINCE })).toMatchObject({
        level: "trouble",
        title: "The backend does not answer",
        problems: [{ since: SINCE }],
    });
    expect(diagnose({ link: "lost", lastAnswer: SINCE })).toMatchObject({
        level: "lost",
        title: "AppOS does not answer",
        problems: [{ since: SINCE }],
    });
});

test("nothing is claimed before the first answer", () => {
    expect(diagnose({ link: "connecting" })).toMatchObject({ level: "connecting", problems: [] });
});
