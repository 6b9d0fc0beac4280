import type { Plan } from "./plan.ts";
import type { CardSecrets } from "./secrets.ts";
import type { SetupTools } from "./tools.ts";
import type { Transcript } from "./transcript.ts";

/** One setup of one card: what it works with, and what of it is done. */
export class SetupRun {
  readonly plan: Plan;
  readonly tools: SetupTools;
  readonly serial: string;
  /** The name of its files, without their endings. */
  readonly name: string;
  readonly transcript: Transcript;
  /** The secrets that the card gets, or has. */
  readonly fresh: CardSecrets;
  /** Those of an earlier setup of the same card. */
  readonly earlier: CardSecrets;

  constructor(
    plan: Plan,
    tools: SetupTools,
    of: Pick<SetupRun, "serial" | "name" | "transcript" | "fresh" | "earlier">,
  ) {
    this.plan = plan;
    this.tools = tools;
    this.serial = of.serial;
    this.name = of.name;
    this.transcript = of.transcript;
    this.fresh = of.fresh;
    this.earlier = of.earlier;
  }

  /** Whether a step is done. */
  isDone(step: string, about?: string): boolean {
    return this.transcript.find(step, about)?.data["state"] === "done";
  }

  /** Whether a step was begun, and perhaps done on the card. */
  isBegun(step: string, about?: string): boolean {
    return this.transcript.find(step, about) !== undefined;
  }

  /** Notes, before a step changes the card, that it is begun: after an interruption only the card knows whether it did it. */
  async begin(step: string, about?: string): Promise<void> {
    if (!this.isBegun(step, about)) await this.#note(step, { about, state: "begun" });
  }

  async done(step: string, about?: string, data: Readonly<Record<string, unknown>> = {}): Promise<void> {
    await this.#note(step, { about, state: "done", ...data });
    this.tools.tell({ kind: "step", step, about });
  }

  async #note(step: string, data: Readonly<Record<string, unknown>>): Promise<void> {
    this.transcript.append(step, this.tools.now(), data);
    await this.save();
  }

  async save(): Promise<void> {
    await this.tools.store.write(transcriptFile(this.name), this.transcript.encode());
  }
}

export const transcriptFile = (name: string): string => `${name}.transcript.json`;
export const secretsFile = (name: string): string => `${name}.secrets`;
export const sealedFile = (name: string): string => `${name}.secrets.p7m`;
