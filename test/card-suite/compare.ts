/** Compares two descriptions of a token's objects, field by field. */
import { equalBytes } from "../../src/bytes/index.ts";
import type { Described, FieldName } from "./objects.ts";

/** An object and its counterpart; one of the two is missing where only one side has it. */
export interface Pair {
  readonly ours?: Described;
  readonly theirs?: Described;
}

/** Objects of one class belong together by CKA_ID and label, those left by CKA_ID, or by label where there is no CKA_ID. */
export function pairObjects(ours: readonly Described[], theirs: readonly Described[]): readonly Pair[] {
  const left = [...theirs];
  const partners = new Map<Described, Described>();
  const pairBy = (belong: (mine: Described, other: Described) => boolean): void => {
    for (const mine of ours) {
      if (partners.has(mine)) continue;
      const index = left.findIndex((other) => other.type === mine.type && belong(mine, other));
      const [other] = index < 0 ? [] : left.splice(index, 1);
      if (other) partners.set(mine, other);
    }
  };
  pairBy((mine, other) => mine.id === other.id && mine.label === other.label);
  pairBy((mine, other) => mine.id !== "" && mine.id === other.id);
  return [
    ...ours.map((mine): Pair => {
      const other = partners.get(mine);
      return { ours: mine, ...(other && { theirs: other }) };
    }),
    ...left.map((other): Pair => ({ theirs: other })),
  ];
}

export interface Difference {
  readonly field: FieldName | "label" | "value";
  readonly ours: string;
  readonly theirs: string;
}

/** The fields that both sides tell, and tell differently. */
export function differences(ours: Described, theirs: Described): readonly Difference[] {
  const found: Difference[] = [];
  if (ours.label !== theirs.label) found.push({ field: "label", ours: ours.label, theirs: theirs.label });
  for (const [name, there] of Object.entries(theirs.fields)) {
    const field = name as FieldName;
    const here = ours.fields[field];
    if (here !== undefined && here !== there) found.push({ field, ours: here, theirs: there });
  }
  if (ours.value && theirs.value && !equalBytes(ours.value, theirs.value)) {
    const length = ({ length }: Uint8Array): string => `${length} bytes`;
    found.push({ field: "value", ours: length(ours.value), theirs: `${length(theirs.value)}, others` });
  }
  return found;
}
