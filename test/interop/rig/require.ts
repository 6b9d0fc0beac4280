import { accessSync, constants } from "node:fs";
import path from "node:path";

/** The Debian package that brings each program, where it is not called like the program. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  cc: "g++",
  certtool: "gnutls-bin",
  certutil: "libnss3-tools",
  "gnutls-serv": "gnutls-bin",
  jar: "default-jdk-headless",
  jarsigner: "default-jdk-headless",
  keytool: "default-jdk-headless",
  modutil: "libnss3-tools",
  "opensc-tool": "opensc",
  p11tool: "gnutls-bin",
  pk12util: "libnss3-tools",
  "piv-tool": "opensc",
  "pkcs11-tool": "opensc",
  "pkcs15-init": "opensc",
  "pkcs15-tool": "opensc",
  groff: "groff-base",
  "sc-hsm-tool": "opensc",
  setpriv: "util-linux",
  ssh: "openssh-client",
  "ssh-add": "openssh-client",
  sshd: "openssh-server",
  "systemd-analyze": "systemd",
  "systemd-socket-activate": "systemd",
  flock: "util-linux",
  gpg: "gnupg",
  gpgconf: "gnupg",
  ykman: "yubikey-manager",
};

const SEARCH = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin", "/usr/bin"];
const MULTIARCH: Readonly<Record<string, string>> = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

function exists(file: string, mode = constants.R_OK): boolean {
  try {
    accessSync(file, mode);
    return true;
  } catch {
    return false;
  }
}

function missing(what: string, packages: readonly string[]): Error {
  return new Error(`${what} missing; run: apt-get install -y --no-install-recommends ${packages.join(" ")}`);
}

/** Fails with the line that installs what is missing, unless all `programs` are there. */
export function requirePrograms(...programs: readonly string[]): void {
  const absent = programs.filter((name) => !SEARCH.some((folder) => exists(path.join(folder, name), constants.X_OK)));
  if (absent.length === 0) return;
  throw missing(absent.join(", "), [...new Set(absent.map((name) => PACKAGE_OF[name] ?? name))]);
}

/**
 * Where a library of the Debian package `debianPackage` is: `name` is relative to a library folder
 * ("libykcs11.so", "pkcs11/opensc-pkcs11.so"). Fails with the line that installs it.
 */
export function requireLibrary(name: string, debianPackage: string): string {
  const folders = [`/usr/lib/${MULTIARCH[process.arch] ?? process.arch}`, "/usr/lib64", "/usr/lib", "/usr/local/lib"];
  const found = folders.map((folder) => path.join(folder, name)).find((file) => exists(file));
  if (found === undefined) throw missing(name, [debianPackage]);
  return found;
}
