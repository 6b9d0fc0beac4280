import { X509Certificate } from "node:crypto";
import { CardChannel, findTlv, readTlvs } from "../src/apdu/index.ts";
import type { VirtualCard } from "../src/virtual/index.ts";

/** Certificates of 9A, 9C, 9D and 9E as GET DATA names them (SP 800-73-4 part 1 table 3). */
const CERTIFICATE_OBJECTS = ["5fc105", "5fc10a", "5fc10b", "5fc101"];

/** How long the card's four certificates are, in bytes: a driver's APDUs depend on it. */
export async function certificateLengths(card: VirtualCard): Promise<readonly number[]> {
  const channel = new CardChannel((command) => card.transmit(command));
  const lengths = [];
  for (const tag of CERTIFICATE_OBJECTS) {
    const data = Buffer.from(`5c03${tag}`, "hex");
    const answer = await channel.send({ cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data, ne: 65_536 });
    const object = findTlv(readTlvs(answer.data), 0x53) ?? new Uint8Array();
    lengths.push(new X509Certificate(findTlv(readTlvs(object), 0x70) ?? new Uint8Array()).raw.length);
  }
  return lengths;
}
