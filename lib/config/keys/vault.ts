// The settings that say where HashiCorp Vault is and who this process is to it. One entry a key.
import type { Key } from "../key.ts";
import { duration, file, oneOf, secret, text } from "../kinds.ts";
import type { SecretReference } from "../../secrets/secret-reference.ts";

export const address: Key<string | undefined> = text({
  path: "vault.address",
  variable: "VAULT_ADDR",
  fallback: undefined,
  doc: "Where HashiCorp Vault is, for settings that refer to `vault:MOUNT/PATH#FIELD` (KV version 2).",
  allowed: "an http or https URL",
  check(value) {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (url === undefined || !/^https?:$/.test(url.protocol)) throw new RangeError("must be an http or https URL");
    if (url.username !== "" || url.password !== "") throw new RangeError("must hold no user name and no password");
    if (url.search !== "" || url.hash !== "") throw new RangeError("must end with its path");
  },
});

export const namespace: Key<string | undefined> = text({
  path: "vault.namespace",
  variable: "VAULT_NAMESPACE",
  fallback: undefined,
  allowed: "a namespace",
  doc: "The namespace, in Vault Enterprise.",
  check(value) {
    // Anything else cannot stand in a header.
    if (!/^[\x21-\x7e]+$/.test(value)) throw new RangeError("must be one word of printable ASCII characters");
  },
});

export const caFile: Key<string | undefined> = file({
  path: "vault.caFile",
  variable: "VAULT_CACERT",
  fallback: undefined,
  fallbackText: "the roots of Node",
  doc: "The roots that Vault's certificate may come from, in PEM.",
});

export const auth: Key<"token" | "approle" | "kubernetes"> = oneOf(["token", "approle", "kubernetes"], {
  path: "vault.auth",
  variable: "MYCEL_VAULT_AUTH",
  fallback: "token",
  doc: "How this process logs in.",
});

export const authMount: Key<string | undefined> = text({
  path: "vault.authMount",
  variable: "MYCEL_VAULT_AUTH_MOUNT",
  fallback: undefined,
  fallbackText: "the method's name",
  doc: "Where the method of AppRole or Kubernetes is mounted.",
  allowed: "a mount, e.g. approle",
  check(value) {
    if (!/^[\w-]+(?:\/[\w-]+)*$/.test(value)) throw new RangeError("must be a mount, e.g. approle");
  },
});

export const token: Key<SecretReference | undefined> = secret({
  path: "vault.token",
  variable: "VAULT_TOKEN",
  doc: "The token to log in with. Its file is read again when Vault refuses the token. Renewed while Vault allows it.",
});

export const roleId: Key<string | undefined> = text({
  path: "vault.roleId",
  variable: "MYCEL_VAULT_ROLE_ID",
  fallback: undefined,
  doc: "AppRole: the role's id.",
});

export const secretId: Key<SecretReference | undefined> = secret({
  path: "vault.secretId",
  variable: "MYCEL_VAULT_SECRET_ID",
  doc: "AppRole: the secret id. Its file is read again for each login.",
});

export const kubernetesRole: Key<string | undefined> = text({
  path: "vault.kubernetesRole",
  variable: "MYCEL_VAULT_KUBERNETES_ROLE",
  fallback: undefined,
  doc: "Kubernetes: the role to log in as.",
});

export const kubernetesTokenFile: Key<string> = file({
  path: "vault.kubernetesTokenFile",
  variable: "MYCEL_VAULT_KUBERNETES_TOKEN_FILE",
  fallback: "/var/run/secrets/kubernetes.io/serviceaccount/token",
  doc: "Kubernetes: where the service account's token is.",
});

export const refreshMs: Key<number> = duration({
  path: "vault.refresh",
  variable: "MYCEL_VAULT_REFRESH",
  fallback: 300_000,
  min: 1_000,
  max: 86_400_000,
  doc: "How often secrets are read again. While that fails, the last ones go on being used.",
});

export const timeoutMs: Key<number> = duration({
  path: "vault.timeout",
  variable: "MYCEL_VAULT_TIMEOUT",
  fallback: 10_000,
  min: 100,
  max: 120_000,
  doc: "The longest time for one request to Vault.",
});
