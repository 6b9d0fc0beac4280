import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import * as pkijs from "pkijs";
import { traceTransmit } from "../../src/apdu/index.ts";
import { utf8 } from "../../src/bytes/index.ts";
import { CardRecognition, connectCard } from "../../src/card/index.ts";
import { examineCard, ExchangeLog, type Finding, type Report } from "../../src/doctor/index.ts";
import { profiles } from "../../src/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import type { VirtualCard } from "../../src/virtual/index.ts";

export interface Given {
  readonly at?: Date;
  readonly authorities?: readonly Uint8Array[];
  /** Given for a login; none without. */
  readonly pin?: string;
}

/** Puts a card into a reader of this process, and examines it. */
export async function examined(card: VirtualCard, { at = new Date(), authorities, pin }: Given = {}): Promise<Report> {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  const log = new ExchangeLog();
  await using opened = await connectCard(readers.client(), "Reader", {
    wrap: (transmit, reader) => traceTransmit(log.measure(transmit), log.sink, reader),
  });
  const application = await new CardRecognition(profiles).claim(opened);
  if (!application) throw new TypeError("no application on the card");
  return await examineCard(opened, application, {
    libraries: { pkijs, x509 },
    at,
    log,
    ...(authorities && { authorities }),
    ...(pin !== undefined && { pin: utf8(pin) }),
  });
}

const shown = ({ where, name }: Finding): string => `${where}: ${name}`;

/** Where each defect is, and its name. */
export const defects = ({ findings }: Report): string[] =>
  findings.filter(({ level }) => level === "defect").map(shown);

/** As {@link defects}, of the notes. */
export const notes = ({ findings }: Report): string[] => findings.filter(({ level }) => level === "note").map(shown);

/** What was not looked at. */
export const unchecked = (report: Report): string[] => report.unchecked.map(({ what }) => what);
