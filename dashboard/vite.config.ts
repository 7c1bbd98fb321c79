import { defineConfig } from "vitest/config";

export default defineConfig({
    // The address of a running AppOS, for `npm run dev`.
    server: {
        proxy: {
            "/api": "http://127.0.0.1:9091",
            "/terminal": { target: "http://127.0.0.1:9091", ws: true },
        },
    },
    build: {
        // Every browser that knows :has() and adoptedStyleSheets.
        target: ["chrome110", "firefox115", "safari16.4"],
        // The policy allows data: for images alone, and a file of its own is cached for a year.
        assetsInlineLimit: 0,
        // The browsers above preload modules themselves.
        modulePreload: { polyfill: false },
        reportCompressedSize: true,
    },
    test: { include: ["tests/**/*.test.ts"] },
});
