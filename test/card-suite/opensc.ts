/** What OpenSC says of the same card, by pkcs11-tool. */
import { spawn } from "node:child_process";
import { buffer, text } from "node:stream/consumers";
import type { Described, FieldName } from "./objects.ts";

/** What pkcs11-tool prints. It finds the PIN in the environment, so that no list of processes shows it. */
export async function pkcs11Tool(...args: readonly string[]): Promise<string> {
  return (await pkcs11ToolBytes(...args)).toString();
}

/** The same, of any bytes. */
export async function pkcs11ToolBytes(...args: readonly string[]): Promise<Buffer> {
  const child = spawn("pkcs11-tool", [...args], { stdio: ["ignore", "pipe", "pipe"], env: process.env });
  const failed = new Promise<never>((_, reject) => child.once("error", reject));
  const output = Promise.all([buffer(child.stdout), text(child.stderr)]);
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

/** Beyond the uses that PKCS #11 has attributes for. */
const OWN_USES: ReadonlySet<string> = new Set(["non-repudiation"]);

/** The objects of `pkcs11-tool --list-objects`. */
export function parseObjects(printed: string): Described[] {
  return printed.split(/^(?=\S)/mu).flatMap((block) => {
    const type = /^(Private|Public|Certificate|Data) (?:Key )?[Oo]bject/u.exec(block)?.[1]?.toLowerCase();
    if (type !== "private" && type !== "public" && type !== "certificate" && type !== "data") return [];
    const field = (name: string): string | undefined =>
      new RegExp(`^ +${name}: *'?(.*?)'?$`, "mu").exec(block)?.[1]?.trim();
    const fields: Partial<Record<FieldName, string | undefined>> = {
      key: /^\S+ Key Object; (RSA|EC)/u.exec(block)?.[1],
      size: / (\d+) bits/u.exec(block)?.[1],
      point: field("EC_POINT"),
      curve: field("EC_PARAMS"),
      uses: sorted(field("Usage"), OWN_USES),
      access: type === "private" ? sorted(field("Access")) : undefined,
      subject: field("subject")?.replace(/^DN: /u, ""),
      serial: field("serial")?.toLowerCase(),
      application: field("application"),
      flags: type === "data" ? sorted(field("flags")?.replace("<empty>", "").replaceAll(" ", ", ")) : undefined,
    };
    const told = Object.entries(fields).filter(([, value]) => value !== undefined);
    const id = field("ID")?.split(" ")[0] ?? "";
    return [{ type, label: field("label") ?? "", id, fields: Object.fromEntries(told) }];
  });
}

/** A list of names, in the order of the alphabet. */
function sorted(list: string | undefined, omitted: ReadonlySet<string> = new Set()): string | undefined {
  const names = list?.split(", ").filter((name) => name !== "" && name !== "none" && !omitted.has(name));
  return names?.sort().join(", ");
}
