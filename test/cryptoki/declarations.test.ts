import { expect, test } from "@jest/globals";
import { CKM } from "../../src/cryptoki/constants/ckm.ts";
import { mechanismOf } from "../../src/cryptoki/index.ts";
import { MECHANISM_BY_TYPE } from "../../src/cryptoki/mechanisms/availability.ts";
import { declarationOf } from "../../src/cryptoki/mechanisms/declarations.ts";
import { refusal } from "./rig.ts";

/** Without the second names of some. */
const ALL = [...new Set<number>(Object.values(CKM))];

test("every mechanism that this library supports is declared", () => {
  expect([...MECHANISM_BY_TYPE.keys()].filter((type) => declarationOf(type) === undefined)).toEqual([]);
});

test("p11-kit's protocol has 91 mechanisms before version 0.25, and 149 since", () => {
  const passed = (version: number): readonly number[] =>
    ALL.filter((type) => (declarationOf(type)?.wire ?? Infinity) <= version);
  expect([passed(0).length, passed(1).length]).toEqual([91, 149]);
});

test("a vendor's mechanism is not declared, and can be named", () => {
  expect(declarationOf(0x8000_0001)).toBeUndefined();
  expect(mechanismOf(0x8000_0001, Uint8Array.of(1))).toEqual({ mechanism: 0x8000_0001, parameter: Uint8Array.of(1) });
  expect(mechanismOf(CKM.SHA256)).toEqual({ mechanism: CKM.SHA256 });
});

test.each([-1, 1.5, 2 ** 32, Number.NaN])("%d is no mechanism's number", (type) => {
  expect(() => mechanismOf(type)).toThrow(expect.objectContaining(refusal("ARGUMENTS_BAD")));
});
