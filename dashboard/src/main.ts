// Asks AppOS how it is, again and again, and shows it.

import { ApiError, getActivity, getHealth, getServices, getSettings, getTasks } from "./api.ts";
import { diagnose, type Heard } from "./diagnose.ts";
import { byId, setAttribute, setText } from "./dom.ts";
import { Poller } from "./poll.ts";
import { ActivityView } from "./views/activity.ts";
import { ServicesView } from "./views/services.ts";
import { SettingsView } from "./views/settings.ts";
import { StatusView } from "./views/status.ts";
import { TasksView } from "./views/tasks.ts";
import { TerminalView } from "./views/terminal.ts";

const CALM_MS = 2000;
const ALERT_MS = 1000;
const LISTS_MS = 10_000;
// A container is back within seconds: waiting longer to notice would be the slowest part of its restart.
const SLOWEST_MS = 4000;
const LISTS_SLOWEST_MS = 30_000;

const linkElement = byId("link", HTMLElement);
const linkText = byId("link-text", HTMLElement);

const status = new StatusView();
const services = new ServicesView();
const tasks = new TasksView(() => taskPoller.now());
const settings = new SettingsView(() => settingPoller.now());
const activity = new ActivityView();
new TerminalView();

let heard: Heard = { link: "connecting" };
/** When, by the page's own clock. */
let heardAt = 0;
/** Rounds without an answer since the last one with. */
let misses = 0;
let shownTitle = "";

const heartbeat = new Poller(
    beat,
    () => (misses === 0 && diagnose(heard).level === "ok" ? CALM_MS : ALERT_MS),
    SLOWEST_MS,
);
const taskPoller = new Poller(
    () => load(async () => tasks.show(await getTasks()), tasks),
    () => (tasks.unsettled ? ALERT_MS : LISTS_MS / 2),
    LISTS_SLOWEST_MS,
);
const settingPoller = new Poller(
    () => load(async () => settings.show(await getSettings()), settings),
    () => LISTS_MS,
    LISTS_SLOWEST_MS,
);
const activityPoller = new Poller(
    () =>
        load(async () => {
            const answer = await getActivity();
            activity.show(answer.activity, answer.note);
        }, activity),
    () => LISTS_MS / 2,
    LISTS_SLOWEST_MS,
);
const lists = [taskPoller, settingPoller, activityPoller];

/** Hears how the services are. */
async function beat(): Promise<boolean> {
    const [health, list] = await Promise.allSettled([getHealth(), getServices()]);
    if (health.status === "fulfilled") {
        const listed = list.status === "fulfilled" ? list.value : undefined;
        heard = {
            link: "live",
            lastAnswer: new Date().toISOString(),
            health: health.value,
            services: listed,
            servicesError: list.status === "rejected" ? String(list.reason.message) : undefined,
        };
        heardAt = performance.now();
        misses = 0;
        if (listed) services.show(listed, health.value);
        else services.stale();
    } else {
        if (!(health.reason instanceof ApiError)) throw health.reason;
        misses++;
        // One answer that is missing is a network that blinked, unless there has been none at all.
        if (misses > 1 || heard.link === "connecting") {
            const link = health.reason.failure === "unreachable" ? "lost" : "gateway";
            heard = { link, lastAnswer: heard.lastAnswer ?? new Date().toISOString() };
            services.stale();
        }
    }
    show();
    watch();
    return misses === 0;
}

async function load(
    run: () => Promise<void>,
    view: { unavailable: (why: string) => void },
): Promise<boolean> {
    try {
        await run();
        return true;
    } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        view.unavailable(error.message);
        return false;
    }
}

function show(): void {
    const report = diagnose(heard);
    // What was broken may work again, and the other way round: no reason to sit out a delay.
    if (report.title !== shownTitle) for (const poller of lists) poller.now();
    shownTitle = report.title;
    status.show(report, heardAt);
    setAttribute(linkElement, "data-link", misses === 0 ? "live" : "lost");
    setText(linkText, misses === 0 ? "Live" : "Reconnecting");
}

/** Nobody is asked while nobody looks, and the lists only while somebody is there to answer. */
function watch(): void {
    const looking = !document.hidden;
    setActive(heartbeat, looking);
    for (const poller of lists) setActive(poller, looking && heard.link === "live");
}

function setActive(poller: Poller, active: boolean): void {
    if (active) poller.start();
    else poller.pause();
}

setInterval(() => {
    if (document.hidden) return;
    status.tick();
    if (heard.link === "live") services.tick();
}, 1000);
document.addEventListener("visibilitychange", watch);
// The network is back: no reason to sit out a delay.
addEventListener("online", () => heartbeat.now());
watch();
