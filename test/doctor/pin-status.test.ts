import { expect, test } from "@jest/globals";
import { Examination } from "../../src/doctor/examination.ts";
import { judgePinStatus } from "../../src/doctor/pin-status.ts";

test.each([
  [0x9000, []],
  [0x63c3, []],
  [0x63c4, ["pin-tries"]],
  [0x63c1, ["pin-last-try"]],
  [0x63c0, ["pin-blocked"]],
  [0x6983, ["pin-blocked"]],
  [0x6984, ["pin-not-set"]],
  [0x6a88, ["pin-not-set"]],
  [0x6303, ["pin-status-words"]],
  [0x6300, ["pin-status-words", "pin-blocked"]],
  [0x6700, ["pin-status-unknown"]],
  [0x6982, ["pin-status-unknown"]],
  [0x6f00, ["pin-status-unknown"]],
])("an empty VERIFY that answers %p", (sw, expected) => {
  const examination = new Examination(new Date());
  judgePinStatus(examination, "PIN", sw, "the card's standard");
  expect(examination.findings.map(({ name }) => name)).toEqual(expected);
});
