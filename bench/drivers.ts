import path from "node:path";
import { fileURLToPath } from "node:url";
import { requireLibrary, requirePrograms } from "../test/interop/rig/require.ts";
import { run } from "../test/interop/rig/run.ts";
import { type Work, walkArguments } from "./work.ts";

export interface Launch {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The program knows no steps: all that it does until it ends is one. */
  readonly oneStep?: boolean;
}

/** A driver for PIV cards that is measured. */
export interface Driver {
  readonly name: string;
  readonly version: string;
  /** Works only with a card that also answers Yubico's own commands. */
  readonly yubico: boolean;
  launch(work: Work): Launch;
}

/** Version of an installed Debian package, without Debian's own revision. */
export async function debianVersion(name: string): Promise<string> {
  const { stdout } = await run("dpkg-query", ["-W", "-f=${Version}", name]);
  return stdout.replace(/[-+].*$/u, "");
}

/** Compiles walk.cpp into `folder`. @returns The program. */
export function compileWalk(folder: string): Promise<string> {
  return compile("walk.cpp", path.join(folder, "walk"));
}

/** Compiles no-delay.cpp into `folder`. @returns The library to preload into pcscd. */
export function compileNoDelay(folder: string): Promise<string> {
  return compile("no-delay.cpp", path.join(folder, "no-delay.so"), "-shared", "-fPIC");
}

export async function compile(source: string, target: string, ...options: readonly string[]): Promise<string> {
  requirePrograms("g++");
  const file = fileURLToPath(new URL(source, import.meta.url));
  const { code, stderr } = await run("g++", ["-O1", ...options, "-o", target, file, "-ldl"]);
  if (code !== 0) throw new Error(`g++ does not compile ${source}:\n${stderr}`);
  return target;
}

/** This project's library, from its source. */
export function ours(version: string): Driver {
  const walk = fileURLToPath(new URL("walk.ts", import.meta.url));
  return {
    name: "cryptoki",
    version,
    yubico: false,
    launch: (work) => ({ program: process.execPath, args: ["--import", "tsx", walk, ...walkArguments(work)] }),
  };
}

/** @param walk The compiled walk.cpp. @param keyFile Where piv-tool finds the management key, in hexadecimal. */
export async function openSc(walk: string, keyFile: string): Promise<Driver> {
  requirePrograms("piv-tool");
  const module = requireLibrary("pkcs11/opensc-pkcs11.so", "opensc-pkcs11");
  return {
    name: "OpenSC",
    version: await debianVersion("opensc-pkcs11"),
    yubico: false,
    launch(work) {
      if (work.name !== "generate") return { program: walk, args: [module, ...walkArguments(work)] };
      // Its PKCS#11 module makes no keys on PIV cards; its own tool does, for a management key in a file.
      const args = ["--reader", "0", "--admin", "M:9B:03", "--genkey", `${work.key.toUpperCase()}:07`];
      return { program: "piv-tool", args, env: { PIV_EXT_AUTH_KEY: keyFile }, oneStep: true };
    },
  };
}

export async function ykcs11(walk: string): Promise<Driver> {
  const module = requireLibrary("libykcs11.so", "ykcs11");
  return {
    name: "ykcs11",
    version: await debianVersion("ykcs11"),
    yubico: true,
    launch: (work) => ({ program: walk, args: [module, ...walkArguments(work)] }),
  };
}
