import { openAddon } from "./addon/client.ts";
import { PcscError } from "./error.ts";
import { openNative } from "./native/client.ts";
import { Pcscd, type PcscdOptions } from "./pcscd/client.ts";
import type { Pcsc } from "./types.ts";

/**
 * A way to the readers of this machine: pcscd's socket; the system's library by the npm package `koffi` ("native"); the npm package
 * `pcsclite` ("addon").
 */
export type PcscTransport = "pcscd" | "native" | "addon";

export interface SystemPcsc {
  readonly pcsc: Pcsc;
  /** The way that was taken. */
  readonly transport: PcscTransport;
}

export interface SystemPcscOptions extends PcscdOptions {
  /** Default: pcscd's socket on Linux and the BSDs; on Windows and macOS "native", and "addon" if koffi is not installed. */
  readonly transport?: PcscTransport | undefined;
}

/**
 * Opens the readers of this machine.
 * @param platform As in `process.platform`.
 * @throws {PcscError} SCARD_E_NO_SERVICE on Windows and macOS if neither koffi nor pcsclite is installed, with what to install.
 */
export async function openSystemPcsc(
  options: SystemPcscOptions = {},
  platform: string = process.platform,
): Promise<SystemPcsc> {
  const { transport } = options;
  const hasSocket = platform !== "win32" && platform !== "darwin";
  if (transport === "pcscd" || (transport === undefined && hasSocket)) {
    return { pcsc: new Pcscd(options), transport: "pcscd" };
  }
  if (transport === "native") return { pcsc: await openNative(undefined, options), transport };
  if (transport === "addon") return { pcsc: await openAddon(undefined, options), transport };
  return openInstalled(options);
}

/** By the package that is installed. */
async function openInstalled(options: SystemPcscOptions): Promise<SystemPcsc> {
  try {
    return { pcsc: await openNative(undefined, options), transport: "native" };
  } catch (cause) {
    try {
      return { pcsc: await openAddon(undefined, options), transport: "addon" };
    } catch {
      if (cause instanceof PcscError) throw cause;
      throw new PcscError("SCARD_F_INTERNAL_ERROR", undefined, { cause });
    }
  }
}
