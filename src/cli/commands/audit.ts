import type { Command } from "commander";
import { readFile } from "node:fs/promises";
import { DataError } from "../../bytes/index.ts";
import { action } from "../context.ts";
import { examples } from "../input/options.ts";
import { FileError, VerificationFailedError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";

export function addAudit(program: Command, environment: Environment): void {
  const audit = program.command("audit").summary("check the audit trail of the HTTP service");
  const verify = audit
    .command("verify")
    .summary("check that no entry was changed, moved or removed")
    .description(
      "Check a trail of the HTTP service: each entry has its hash, and names the one before. A file that was cut short at its end is " +
        "still a chain: compare the hash of the last entry with one that you kept elsewhere.",
    )
    .argument("<file>", "the file that the service's configuration names as audit")
    .option("--head <hash>", "the hash of an entry that was the last one once: it must be in the trail")
    .addHelpText("after", examples(["cryptoki audit verify /var/log/cryptoki/audit.jsonl", "the whole trail"]));
  action<{ readonly head?: string }, [string]>(verify, environment, async ({ print }, { head }, file) => {
    const { verifyAudit } = await import("../../audit/index.ts");
    const text = await readFile(file, "utf8").catch((cause: unknown) => {
      throw new FileError(`${file} cannot be read`, { cause });
    });
    const report = asVerified(() => verifyAudit(text, head));
    if (print.json) print.document(report);
    else {
      const torn = report.torn === 0 ? "" : `, ${report.torn} unfinished lines of a crash`;
      print.line(`${report.entries} entries in one chain${torn}`);
      print.line(`last entry: ${report.head}`);
    }
  });
}

function asVerified<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new VerificationFailedError(cause.message, { cause });
  }
}
