// Owns what can be wrong with settings that are each right: one that needs another.
import { ConfigError } from "./config-error.ts";
import { vaultAuthOf } from "./configured-secrets.ts";
import type { Settings } from "./settings.ts";
import { listenerTlsOf, natsTlsOf } from "./tls-settings.ts";

const JUDGES: readonly ((settings: Settings) => unknown)[] = [listenerTlsOf, natsTlsOf, vaultAuthOf];

/** One line for each setting that lacks another. */
export function contradictionsIn(settings: Settings): readonly string[] {
  return JUDGES.flatMap((judge) => {
    try {
      judge(settings);
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return error.mistakes;
      throw error;
    }
  });
}
