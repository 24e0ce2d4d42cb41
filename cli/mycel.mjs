#!/usr/bin/env node
// The `mycel` command's front door: makes sure that packages and Node 24 are there, then hands over to cli/main.ts.
// Plain JavaScript without packages, because it runs on Node 20 in a checkout where nothing is installed yet.
import { join } from "node:path";

import { launch } from "./setup/launch.mjs";
import { prepare, reportFailure } from "./setup/prepare.mjs";
import { projectRoot } from "./setup/project.mjs";

try {
  const { node } = await prepare({ development: false });
  await launch(node, [join(projectRoot, "cli", "main.ts"), ...process.argv.slice(2)], process.env);
} catch (error) {
  reportFailure(error);
}
