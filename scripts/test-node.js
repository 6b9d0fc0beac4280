/**
 * The unit tests on other versions of Node than the one that runs this.
 *
 * Of random tests and property tests a tenth of the runs is made, and of long tables a tenth of the rows, on each version other ones
 * (TEST_SHARE, test/sampled-tables.ts).
 *
 *   npm run test:node                  suites that cover every room, on each version
 *   npm run test:node -- 22            every suite, on one version
 *   npm run test:node -- 22 ARGUMENT   the same, with an argument for Jest
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const VERSIONS = ["22", "24"];
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const env = { TEST_SHARE: "0.1", ...process.env };

/** Everything of the rooms below; of those above the suites that meet the most of Node: sockets, streams, keys, programs. */
const QUICK = [
  "(apdu|asn1|async|bytes|card|crypto|piv)/",
  "cac/(codecs|pin|token|variants)",
  "(age|service|ssh-agent)/(codec|configuration|limits|audit|destinations)",
  "cli/(help|pins|readers|tokens)",
  "cryptoki/(cancel|login|objects|pins|software-keys|trace)",
  "cryptoki/vectors/(aead|derivation|rsa-signatures|signatures)",
  "doctor/(cac|virtual-cards)",
  "p11kit/(codec|host-keys|module|reconnect|server)",
  "pcsc/(memory|pcscd|recorder)",
  "pkcs15/(dialects|facade|mechanisms|session|tokens)",
  "virtual/(iso7816/files|iso7816/keys|piv/card-file|piv/pin|piv/select|pkcs15/card|vpcd)",
  "webcrypto/(pkijs|session-keys|signatures|storage)",
].map((pattern) => `test/${pattern}${pattern.endsWith("/") ? "" : "\\.test"}`);

/**
 * @param {string} version
 * @param {string[]} args
 */
function test(version, args) {
  const node = fileURLToPath(
    new URL(`../test/interop/runtimes/node_modules/node-${version}/bin/node`, import.meta.url),
  );
  const jest = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning", "node_modules/jest/bin/jest.js"];
  console.error(`unit tests on Node ${version}`);
  const { status, error } = spawnSync(node, [...jest, "--selectProjects", "unit", ...args], {
    cwd: ROOT,
    env,
    stdio: "inherit",
  });
  if (error)
    console.error(`test-node: ${error.message}; node scripts/setup.js installs Node ${VERSIONS.join(" and ")}`);
  if (status !== 0) process.exit(status ?? 1);
}

const [version, ...args] = process.argv.slice(2);
if (version === undefined) for (const each of VERSIONS) test(each, ["--testPathPatterns", ...QUICK]);
else if (VERSIONS.includes(version)) test(version, args);
else {
  console.error(`test-node: there are Node ${VERSIONS.join(" and ")}, and not ${version}`);
  process.exit(2);
}
