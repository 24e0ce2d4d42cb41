// The lock file must be one that `npm ci` accepts on every machine.
import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";

interface LockEntry {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

test("package-lock.json holds every platform's optional packages (else: node cli/setup/complete-lock.mjs)", async () => {
  const text = await readFile(new URL("../../../package-lock.json", import.meta.url), "utf8");
  const { packages }: { packages: Record<string, LockEntry> } = JSON.parse(text);
  const missing = Object.entries(packages).flatMap(([path, owner]) =>
    Object.keys(owner.optionalDependencies ?? {}).filter((name) => {
      const folder = path.slice(0, path.lastIndexOf("node_modules/") + "node_modules/".length);
      return packages[folder + name] === undefined && packages[`node_modules/${name}`] === undefined;
    }),
  );
  expect(Object.keys(packages).length).toBeGreaterThan(100);
  expect(missing).toEqual([]);
});
