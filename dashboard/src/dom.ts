// Builds and updates elements. Data only ever becomes text nodes and attributes, never markup.

type Child = Node | string;
type Attributes = Record<string, string | number | boolean | ((event: Event) => void)>;

const SVG = "http://www.w3.org/2000/svg";

export function h<K extends keyof HTMLElementTagNameMap>(
    tag: K,
    attributes: Attributes = {},
    ...children: Child[]
): HTMLElementTagNameMap[K] {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") element.addEventListener(name, value);
        else if (typeof value === "boolean") element.toggleAttribute(name, value);
        else element.setAttribute(name, String(value));
    }
    element.append(...children);
    return element;
}

/** The element that index.html has under this id. */
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
    const element = document.getElementById(id);
    if (!(element instanceof type)) throw new Error(`index.html has no ${type.name} #${id}`);
    return element;
}

/** Leaves the node alone when nothing changed, so that selections survive and nothing repaints. */
export function setText(element: Element, text: string): void {
    if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element: Element, name: string, value: string): void {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** A time that machines read exactly and people read at a glance. */
export function setTime(element: HTMLTimeElement, iso: string, text: string): void {
    setAttribute(element, "datetime", iso);
    setAttribute(element, "title", iso);
    setText(element, text);
}

export interface Row<T> {
    node: HTMLElement;
    update: (item: T) => void;
}

/** Shows a list: rows are made once for each key, updated in place, and moved only when their order changed. */
export function keyed<T>(
    parent: HTMLElement,
    key: (item: T) => string,
    create: (item: T) => Row<T>,
): (items: readonly T[]) => void {
    const rows = new Map<string, Row<T>>();
    return (items) => {
        const wanted = new Set(items.map(key));
        for (const [name, row] of rows) {
            if (!wanted.has(name)) {
                row.node.remove();
                rows.delete(name);
            }
        }
        let cursor = parent.firstElementChild;
        for (const item of items) {
            const name = key(item);
            let row = rows.get(name);
            if (!row) {
                row = create(item);
                rows.set(name, row);
            }
            row.update(item);
            if (row.node === cursor) cursor = cursor.nextElementSibling;
            else parent.insertBefore(row.node, cursor);
        }
    };
}

const ICONS = {
    ok: "M5 12.5l4.5 4.5L19 7.5",
    busy: "M12 7v5l3.5 2",
    trouble: "M12 5v9M12 18.7v.3",
    lost: "M8 8l8 8M16 8l-8 8",
    connecting: "M18.5 12a6.5 6.5 0 1 1-2-4.7M18.5 4.5v3.4h-3.4",
} as const;

export type IconName = keyof typeof ICONS;

/** Decoration beside a word that says the same. */
export function icon(name: IconName): { node: SVGSVGElement; set: (name: IconName) => void } {
    const node = document.createElementNS(SVG, "svg");
    node.setAttribute("viewBox", "0 0 24 24");
    node.setAttribute("aria-hidden", "true");
    node.setAttribute("class", "icon");
    const path = document.createElementNS(SVG, "path");
    node.append(path);
    const set = (next: IconName) => setAttribute(path, "d", ICONS[next]);
    set(name);
    return { node, set };
}
