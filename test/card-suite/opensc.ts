/** What OpenSC says of the same card, by pkcs11-tool. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

/** An object as both sides describe it; empty where one does not tell. */
export interface Described {
  readonly type: string;
  readonly label: string;
  readonly id: string;
}

/** What pkcs11-tool prints. It finds the PIN in the environment, so that no list of processes shows it. */
export async function pkcs11Tool(...args: readonly string[]): Promise<string> {
  const child = spawn("pkcs11-tool", [...args], { stdio: ["ignore", "pipe", "pipe"], env: process.env });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [stdout, stderr] = await Promise.race([output, failed]);
  const code = child.exitCode ?? (await new Promise<number | null>((resolve) => child.once("exit", resolve)));
  if (code !== 0) throw new Error(`pkcs11-tool ended with ${String(code)}: ${stderr.trim().split("\n").at(-1) ?? ""}`);
  return stdout;
}

/** The slots of `pkcs11-tool --list-slots`, by the names of its fields. */
export function parseSlots(printed: string): Readonly<Record<string, string>>[] {
  return printed
    .split(/^(?=Slot \d)/mu)
    .filter((block) => block.startsWith("Slot ") && block.includes("token label"))
    .map((block) => ({
      index: /^Slot (\d+)/u.exec(block)?.[1] ?? "",
      reader: /^Slot \d+ \(\S+\): (.*)$/mu.exec(block)?.[1]?.trim() ?? "",
      ...Object.fromEntries(
        [...block.matchAll(/^ {2}(\S.*?) +: (.*)$/gmu)].map(([, name = "", value = ""]) => [name, value.trim()]),
      ),
    }));
}

/** The objects of `pkcs11-tool --list-objects`. */
export function parseObjects(printed: string): Described[] {
  return printed
    .split(/^(?=\S)/mu)
    .filter((block) => /^(Private Key|Public Key|Certificate|Data) [Oo]bject/u.test(block))
    .map((block) => {
      const field = (name: string): string =>
        new RegExp(`^ +${name}: +'?(.*?)'?$`, "mu").exec(block)?.[1]?.trim() ?? "";
      const type = (/^(\S+)/u.exec(block)?.[1] ?? "").toLowerCase();
      return { type, label: field("label"), id: field("ID").split(" ")[0] ?? "" };
    });
}
