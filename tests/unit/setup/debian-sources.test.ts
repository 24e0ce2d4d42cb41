// Which Debian mirror is borrowed from a machine's apt.
import { expect, test } from "vitest";

import { debianSource, findDebianMirror } from "../../../lib/nats/server/debian-sources.ts";

const DEB822 = `Types: deb deb-src
# a comment
URIs: http://mirror.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.org/debian-security
Suites: bookworm-security
Components: main
`;

test("a deb822 source gives its mirror and keyring", () => {
  expect(findDebianMirror([{ path: "debian.sources", text: DEB822 }])).toEqual({
    uri: "http://mirror.example.org/debian",
    signedBy: "/usr/share/keyrings/debian-archive-keyring.gpg",
  });
});

test("an inline key block is handed on unchanged", () => {
  const key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----";
  const text = `Types: deb\nURIs: https://mirror.example/debian/\nSuites: trixie\nComponents: main\nSigned-By:${key}\n`;
  const mirror = findDebianMirror([{ path: "x.sources", text }]);
  expect(debianSource(mirror!, "forky")).toBe(
    `Types: deb\nURIs: https://mirror.example/debian/\nSuites: forky\nComponents: main\nSigned-By: ${key}\n`,
  );
});

test.for([
  ["deb http://ftp.example/debian bookworm main contrib", "http://ftp.example/debian", undefined],
  ["deb [arch=amd64 signed-by=/k.gpg] https://m.example/debian/ sid main", "https://m.example/debian/", "/k.gpg"],
  ["deb mirror+file:/etc/apt/mirrors/debian.list trixie main", "mirror+file:/etc/apt/mirrors/debian.list", undefined],
] as const)("the one-line source %j gives its mirror", ([text, uri, signedBy]) => {
  expect(findDebianMirror([{ path: "sources.list", text }])).toEqual({ uri, signedBy });
});

test.for([
  "# deb http://mirror.example.org/debian bookworm main",
  "deb-src http://mirror.example.org/debian bookworm main",
  "deb http://mirror.example.org/debian-security bookworm-security main",
  "deb http://archive.ubuntu.com/ubuntu noble main",
  "deb http://mirror.example.org/debian bookworm contrib",
])("%j is not the Debian archive's main component", (text) => {
  expect(findDebianMirror([{ path: "sources.list", text }])).toBeUndefined();
});

test("a switched-off deb822 source is not used", () => {
  const text = DEB822.replace("Components: main", "Components: main\nEnabled: no");
  expect(findDebianMirror([{ path: "debian.sources", text }])).toBeUndefined();
});
