import type { Pcsc } from "../../pcsc/index.ts";
import type { Application } from "../application.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";

export async function addSlot(application: Application, reader: Pcsc, signal?: AbortSignal): Promise<number[]> {
  const given: unknown = reader;
  if (typeof given !== "object" || given === null || !("changes" in given) || !("connect" in given)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, "a reader has the functions of Pcsc: changes and connect");
  }
  const source = await application.slots.add(reader);
  if (signal?.aborted) {
    await application.slots.remove(source);
    throw cancelled(signal.reason);
  }
  application.added.add(source);
  return source.readers.filter(({ plugged }) => plugged).map((added) => added.slotID(0));
}

export async function removeSlot(application: Application, slotID: number): Promise<void> {
  const { reader } = application.view.slot(slotID);
  const source = [...application.added].find(({ readers }) => readers.includes(reader));
  if (!source) throw new CryptokiError(CKR.ACTION_PROHIBITED, "this application did not add this slot");
  application.added.delete(source);
  await application.slots.remove(source);
}
