import { testSample } from "./sample.ts";

testSample("piv", "iso-applet", "smartcard-hsm", "cac");
