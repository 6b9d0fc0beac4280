import { testSample } from "./sample.ts";

testSample("pkcs15");
