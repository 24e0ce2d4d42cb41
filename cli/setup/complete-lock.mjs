// Adds to package-lock.json the optional packages of other platforms that npm left out, because the registry it was
// run against did not serve them: with them missing, `npm ci` refuses the lock on every machine.
// Usage, after `npm install NAME`: node cli/setup/complete-lock.mjs
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { projectRoot, say } from "./project.mjs";

const PLATFORM =
  /(android|darwin|freebsd|linux|openharmony|win32)-(arm64|armv7|arm|x64|ia32|ppc64|riscv64|s390x)(?:-(.+))?$/;
const C_LIBRARY = new Map([
  ["gnu", "glibc"],
  ["musl", "musl"],
]);

const file = join(projectRoot, "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8"));
const missing = Object.entries(lock.packages).flatMap(([path, owner]) => missingOf(lock.packages, path, owner));
if (missing.length > 0) {
  const [root, ...rest] = Object.entries(lock.packages);
  const sorted = [...rest, ...missing].sort(([one], [other]) => one.localeCompare(other, "en"));
  lock.packages = Object.fromEntries([root, ...sorted]);
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
say(`package-lock.json: ${missing.length} optional packages added`);

/** Lists the entries that one package's optional dependencies lack, as [place, entry] pairs. */
function missingOf(packages, path, owner) {
  return Object.entries(owner.optionalDependencies ?? {}).flatMap(([name, version]) => {
    const place = path.slice(0, path.lastIndexOf("node_modules/") + "node_modules/".length) + name;
    if (packages[place] !== undefined || packages[`node_modules/${name}`]?.version === version) return [];
    const [, os, cpu, flavour] = PLATFORM.exec(name) ?? [];
    if (os === undefined || !/^\d+\.\d+\.\d+$/.test(version)) {
      throw new Error(`${name}@${version} names no platform and exact version; add it to the lock by hand`);
    }
    // Without an integrity: npm takes what the registry serves for the exact version, on that platform only.
    const entry = {
      version,
      cpu: [cpu === "armv7" ? "arm" : cpu],
      ...(owner.dev === true ? { dev: true } : {}),
      ...(C_LIBRARY.has(flavour) ? { libc: [C_LIBRARY.get(flavour)] } : {}),
      ...(owner.license === undefined ? {} : { license: owner.license }),
      optional: true,
      os: [os],
    };
    return [[place, entry]];
  });
}
