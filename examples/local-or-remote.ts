// A client that counts words in the mesh, or in its own process when the mesh cannot take it, and says where and why.
import { createClient } from "mycel/client";
import { createRouter, defaultRules } from "mycel/router";

await using client = createClient({ url: process.env["MYCEL_URL"] ?? "http://127.0.0.1:8080" });
const router = createRouter({
  client,
  handlers: {
    "count-words": (task) => ({ words: String(task.input).split(/\s+/).filter(Boolean).length }),
  },
  rules: defaultRules({ heavy: ["code-analysis"] }),
});

const run = router.run<{ words: number }>("count-words", "to be\nor not to be");
console.log("words:", (await run.result()).words);
console.log((await run.decision).because);
