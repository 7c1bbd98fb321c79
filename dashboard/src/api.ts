// The backend's API: requests go out, checked values or an ApiError come in.

export interface Check {
    ok: boolean;
    latency_ms?: number;
    version?: string;
    error?: string;
}

export interface Health {
    status: string;
    checks: Record<string, Check>;
}

export interface Service {
    name: string;
    state: string;
    since?: string;
    seconds?: number;
}

export interface Task {
    id: string;
    type: string;
    state: string;
    payload?: unknown;
    result?: unknown;
    error?: string | null;
    retried?: number;
    max_retry?: number;
    created_at?: string | null;
    next_attempt_at?: string | null;
    failed_at?: string | null;
    completed_at?: string | null;
}

export interface Setting {
    key: string;
    value: string;
    updated_at?: string;
}

export interface Activity {
    _id: string;
    _creationTime: number;
    kind: string;
    text: string;
}

export interface TerminalStatus {
    enabled: boolean;
    full: boolean;
}

/**
 * - `unreachable`: no answer at all: the container or the network is away
 * - `unavailable`: nginx answered for a backend that is away
 * - `refused`: the backend answered, with an error
 */
export type Failure = "unreachable" | "unavailable" | "refused";

export class ApiError extends Error {
    readonly failure: Failure;

    constructor(failure: Failure, message: string) {
        super(message);
        this.failure = failure;
    }
}

// Longer than the slowest honest answer, short enough to notice a container that went away without a word.
const TIMEOUT_MS = 6000;

export async function getHealth(): Promise<Health> {
    // 503 with checks is an answer: it says what is wrong.
    const { body } = await request("GET", "/api/health", undefined, (json) => isRecord(json["checks"]));
    return { status: String(body["status"]), checks: body["checks"] as Health["checks"] };
}

export async function getServices(): Promise<Service[]> {
    return list<Service>(await request("GET", "/api/services"), "services", "name");
}

export async function getTasks(): Promise<Task[]> {
    return list<Task>(await request("GET", "/api/tasks"), "tasks", "id");
}

export async function addTask(type: string, payload: unknown): Promise<string> {
    const { body } = await request("POST", "/api/tasks", { type, payload });
    return String(body["id"]);
}

export async function getSettings(): Promise<Setting[]> {
    return list<Setting>(await request("GET", "/api/settings"), "settings", "key");
}

export async function putSetting(key: string, value: string): Promise<void> {
    await request("PUT", `/api/settings/${encodeURIComponent(key)}`, { value });
}

export async function deleteSetting(key: string): Promise<void> {
    await request("DELETE", `/api/settings/${encodeURIComponent(key)}`);
}

export async function getActivity(): Promise<{ activity: Activity[]; note: string }> {
    const answer = await request("GET", "/api/activity");
    const note = answer.body["note"];
    return {
        activity: list<Activity>(answer, "activity", "_id"),
        note: typeof note === "string" ? note : "",
    };
}

export async function getTerminal(): Promise<TerminalStatus> {
    const { body } = await request("GET", "/api/terminal");
    return {
        enabled: body["enabled"] !== false,
        full: Number(body["sessions"]) >= Number(body["max_sessions"]),
    };
}

interface Answer {
    body: Record<string, unknown>;
}

async function request(
    method: string,
    path: string,
    payload?: unknown,
    acceptable: (json: Record<string, unknown>) => boolean = () => false,
): Promise<Answer> {
    const init: RequestInit = { method, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
    if (payload !== undefined) {
        init.body = JSON.stringify(payload);
        init.headers = { "Content-Type": "application/json" };
    }
    let response: Response;
    let text: string;
    try {
        response = await fetch(path, init);
        text = await response.text();
    } catch {
        throw new ApiError("unreachable", "AppOS does not answer");
    }
    const body = parse(text);
    if (response.ok || (body && acceptable(body))) return { body: body ?? {} };
    const message =
        body && typeof body["error"] === "string" ? body["error"] : `HTTP status ${response.status}`;
    // The gateway's own words, and whatever a proxy in front of it says without JSON.
    const gateway = message === "unavailable" || (!body && response.status >= 502);
    throw gateway
        ? new ApiError("unavailable", "the backend does not answer")
        : new ApiError("refused", message);
}

function parse(text: string): Record<string, unknown> | undefined {
    try {
        const json: unknown = JSON.parse(text);
        return isRecord(json) ? json : undefined;
    } catch {
        return undefined;
    }
}

function list<T>(answer: Answer, name: string, id: keyof T & string): T[] {
    const items = answer.body[name];
    if (!Array.isArray(items)) throw new ApiError("refused", `the answer has no list of ${name}`);
    return items.filter((item) => isRecord(item) && typeof item[id] === "string") as T[];
}

function isRecord(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
