// Numbers, durations and times as text that reads the same in every locale.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Two units at most: more would only flicker. */
export function duration(seconds: number): string {
    const s = Math.max(0, Math.floor(seconds));
    if (s < MINUTE) return `${s} s`;
    if (s < HOUR) return `${Math.floor(s / MINUTE)} min ${pad(s % MINUTE)} s`;
    if (s < DAY) return `${Math.floor(s / HOUR)} h ${pad(Math.floor((s % HOUR) / MINUTE))} min`;
    return `${Math.floor(s / DAY)} d ${Math.floor((s % DAY) / HOUR)} h`;
}

/** Three figures tell latencies apart; more are noise. */
export function latency(milliseconds: number): string {
    if (milliseconds < 10) return `${milliseconds.toFixed(2)} ms`;
    if (milliseconds < 100) return `${milliseconds.toFixed(1)} ms`;
    if (milliseconds < 10_000) return `${Math.round(milliseconds)} ms`;
    return `${Math.round(milliseconds / 1000)} s`;
}

/** The wall clock of the reader, with the day only when it is not today. */
export function clock(date: Date, now: Date): string {
    const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
    return day(date) === day(now) ? time : `${day(date)} ${time}`;
}

/** The shorter form for lists, which need the time only of today. */
export function stamp(date: Date, now: Date): string {
    return day(date) === day(now) ? clock(date, now) : day(date);
}

/** What a task was given or gave back, on one line. */
export function compact(value: unknown): string {
    if (value === undefined || value === null || value === "") return "";
    return typeof value === "string" ? value : JSON.stringify(value);
}

function day(date: Date): string {
    return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

function pad(n: number): string {
    return String(n).padStart(2, "0");
}
