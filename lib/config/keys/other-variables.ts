// The variables that are read and have no key in the configuration file, for the reference: most are the `mycel` command's.

/** A variable without a key. */
export interface OtherVariable {
  readonly name: string;
  /** Who reads it, and what for. */
  readonly doc: string;
}

/** All of them, ordered by name. */
export const OTHER_VARIABLES: readonly OtherVariable[] = [
  {
    name: "MYCEL_CONFIG",
    doc: "The configuration file of a coordinator, a stock agent, `mycel up` and `mycel config`; `--config` says the same.",
  },
  {
    name: "MYCEL_SYNC",
    doc:
      "`mycel up`: when the nats-server that it starts forces what it stored to the disk, `always` or an interval; 1s if unset. `--sync` says " +
      "the same.",
  },
  { name: "NATS_SERVER_BIN", doc: "`mycel up`: the nats-server to start, instead of one that is found or installed." },
  {
    name: "NODE_EXTRA_CA_CERTS",
    doc: "Node's own: further roots to trust, in PEM. `--grpcurl` writes it into the calls that it prints.",
  },
  {
    name: "NODE_TLS_REJECT_UNAUTHORIZED",
    doc: "Node's own: `0` trusts any certificate. `--grpcurl` writes it into the calls that it prints.",
  },
  { name: "NO_COLOR", doc: "The `mycel` command: no colours, whatever it is set to." },
  { name: "PATH", doc: "`mycel up`: where nats-server is looked for." },
];
