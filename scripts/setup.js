/**
 * What the tests need besides Node: Debian's smart-card daemon, programs and modules; beside the interop tests the native packages
 * `pcsclite` and `koffi`, and the programs of other versions of Node, Bun and Deno. Quick when all is there. As root it installs what is
 * missing; otherwise it prints the line.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const PACKAGES = [
  "age",
  "cackey",
  "chromium",
  "coolkey",
  "default-jdk-headless",
  "fish",
  "g++",
  "git",
  "gnupg",
  "gnutls-bin",
  "groff-base",
  "haproxy",
  "libcacard0",
  "libengine-pkcs11-openssl",
  "libnss3-tools",
  "libpcsclite-dev",
  "make",
  "nats-server",
  "opensc",
  "openssh-client",
  "openssh-server",
  "openssl",
  "osslsigncode",
  "p11-kit",
  "p11-kit-modules",
  "pcscd",
  "pinentry-curses",
  "pkg-config",
  "poppler-utils",
  "python3",
  "qpdf",
  "scdaemon",
  "softhsm2",
  "systemd",
  "vsmartcard-vpcd",
  "xmlsec1",
  "ykcs11",
  "yubico-piv-tool",
  "yubikey-manager",
  "zsh",
];

/**
 * @param {string} program
 * @param {string[]} args
 * @param {import("node:child_process").SpawnSyncOptions} [options]
 */
function run(program, args, options) {
  console.error(`setup: ${program} ${args.join(" ")}`);
  const { status, error } = spawnSync(program, args, { stdio: "inherit", ...options });
  if (status !== 0) fail(`${program} failed${error ? `: ${error.message}` : ""}`);
}

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

function missingPackages() {
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f=${db:Status-Status} ${Package}\n", ...PACKAGES], {
    encoding: "utf8",
  });
  const installed = new Set((stdout ?? "").split("\n"));
  return PACKAGES.filter((name) => !installed.has(`installed ${name}`));
}

function installPackages() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const install = ["install", "-y", "--no-install-recommends", ...missing];
  if (process.getuid?.() !== 0) fail(`the tests need Debian packages; run: sudo apt-get ${install.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update"], { env });
  run("apt-get", install, { env });
}

/**
 * Whether a native package is there in the version wanted and loads into this Node.
 * @param {URL} folder
 * @param {string} name
 */
function works(folder, name) {
  try {
    const require = createRequire(folder);
    const wanted = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")).dependencies[name];
    require(name);
    return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, folder), "utf8")).version === wanted;
  } catch {
    return false;
  }
}

/**
 * Native packages have install scripts, so they are no dependencies of this one: each has a package of its own here.
 * @param {string} room
 * @param {string} name
 * @param {string[]} options Of npm ci.
 */
function installNative(room, name, ...options) {
  const folder = new URL(`../test/interop/${room}/`, import.meta.url);
  if (works(folder, name)) return;
  // Node's own headers, where they are installed with it: node-gyp would fetch them otherwise.
  const prefix = path.dirname(path.dirname(process.execPath));
  const headers = existsSync(path.join(prefix, "include", "node", "node.h")) ? { npm_config_nodedir: prefix } : {};
  run("npm", ["ci", ...options, "--no-audit", "--no-fund"], { cwd: folder, env: { ...process.env, ...headers } });
  if (!works(folder, name)) fail(`the package ${name} was installed but does not load into this Node`);
}

/** Node 22 and 24, Bun and Deno: programs for Linux on x64; and an older TypeScript. None has an install script. */
function installRuntimes() {
  const folder = new URL("../test/interop/runtimes/", import.meta.url);
  /** @param {string} file */
  const read = (file) => JSON.parse(readFileSync(new URL(file, folder), "utf8"));
  const isThere = ([name, { version }]) => {
    const file = `${name}/package.json`;
    return existsSync(new URL(file, folder)) && read(file).version === version;
  };
  const { packages } = read("package-lock.json");
  if (Object.entries(packages).every((entry) => entry[0] === "" || isThere(entry))) return;
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], { cwd: folder });
}

installPackages();
installNative("addon", "pcsclite");
installNative("cac", "koffi");
// The program comes in another package: the install script has nothing to do.
installNative("native", "koffi", "--ignore-scripts");
installRuntimes();
