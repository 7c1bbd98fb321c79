// A tile for each service: its state, for how long, and how fast it answers.

import type { Health, Service } from "../api.ts";
import { badge, part } from "../diagnose.ts";
import { byId, h, icon, keyed, type Row, setAttribute, setText } from "../dom.ts";
import { duration, latency } from "../format.ts";

interface Tile {
    service: Service;
    health: Health | undefined;
    stale: boolean;
}

export class ServicesView {
    readonly #others = byId("other-checks", HTMLElement);
    readonly #tiles = keyed<Tile>(
        byId("service-list", HTMLElement),
        ({ service }) => service.name,
        () => this.#tile(),
    );
    #services: readonly Service[] = [];
    #health: Health | undefined;
    #stale = false;
    /** The page's own clock at the last answer: uptimes go on from there, whatever the clocks of the two machines say. */
    #heardAt = 0;

    show(services: readonly Service[], health: Health | undefined): void {
        this.#services = services;
        this.#health = health;
        this.#stale = false;
        this.#heardAt = performance.now();
        this.tick();
        const names = new Set(services.map((service) => service.name));
        const others = Object.entries(health?.checks ?? {}).filter(([name]) => !names.has(name));
        const sentences = others.map(([name, check]) => {
            const answer = check.ok ? `answers in ${latency(check.latency_ms ?? 0)}` : "does not answer";
            return `${part(name).label}, the ${part(name).role.toLowerCase()}, ${answer}.`;
        });
        setText(this.#others, sentences.join(" "));
    }

    /** What is shown is no longer being heard. */
    stale(): void {
        this.#stale = true;
        this.tick();
    }

    tick(): void {
        this.#tiles(this.#services.map((service) => ({ service, health: this.#health, stale: this.#stale })));
    }

    #tile(): Row<Tile> {
        const name = h("h3");
        const role = h("p", { class: "muted" });
        const mark = icon("ok");
        const word = h("span");
        const pill = h("p", { class: "pill" });
        pill.append(mark.node, word);
        const time = h("dd");
        const speed = h("dd");
        const speedGroup = h("div", {}, h("dt", {}, "answers in"), speed);
        const node = h(
            "li",
            { class: "tile" },
            h("div", {}, name, role),
            pill,
            h("dl", {}, h("div", {}, h("dt", {}, "for"), time), speedGroup),
        );
        return {
            node,
            update: ({ service, health, stale }) => {
                const { level, word: state } = badge(service, health);
                const shown = stale ? "lost" : level;
                setAttribute(node, "data-level", shown);
                setAttribute(node, "data-service", service.name);
                setText(name, part(service.name).label);
                setText(role, part(service.name).role);
                mark.set(shown);
                setText(word, stale ? `was ${state}` : state);
                const passed = stale ? 0 : (performance.now() - this.#heardAt) / 1000;
                setText(time, service.seconds === undefined ? "unknown" : duration(service.seconds + passed));
                const check = health?.checks[service.name];
                speedGroup.hidden = !check?.ok || stale;
                setText(speed, latency(check?.latency_ms ?? 0));
            },
        };
    }
}
