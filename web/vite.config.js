import { defineConfig } from "vite";

// Where `npm run dev` finds the API; the built page uses its own origin.
const api = process.env.BLINDSCORE_URL ?? "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // Nothing inline: the content security policy allows files of this origin only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  optimizeDeps: { exclude: ["blindscore"] },
  server: {
    proxy: { "/v1": api },
    fs: { allow: [".", "../target/npm"] },
  },
});
