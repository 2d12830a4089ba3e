// node sharp.mjs FOLDER FILE TIMES: with the sharp that is installed in FOLDER, make the picture so many times; print the
// CPU of one in milliseconds (user and system, all threads), and write the last result beside FILE.
//
// One thread, as in a server whose cores are all busy, and no cache: each picture is a new one.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const [folder, file, times] = process.argv.slice(2);
const sharp = createRequire(`${folder}/`)("sharp");
sharp.concurrency(1);
sharp.cache(false);

const source = readFileSync(file);
const make = () => sharp(source).autoOrient().resize({ width: 800 }).jpeg({ quality: 80 }).toBuffer();

await make();
const before = process.cpuUsage();
let made;
for (let number = 0; number < Number(times); number++) made = await make();
const { user, system } = process.cpuUsage(before);
writeFileSync(`${file}.sharp.jpg`, made);
console.log(JSON.stringify({ ms: (user + system) / 1000 / Number(times), bytes: made.length }));
