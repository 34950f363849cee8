// node.js: the same work on Node.
//
//   node spec/bench/peers/node.js echo       says where it listens
//   node spec/bench/peers/node.js KIND N     as task_kit.lua, async functions
//
// A yield is one await of nothing, which only goes through the queue of
// microtasks; the others' yields let the loop turn.
// SPDX-License-Identifier: MIT
'use strict';

const net = require('net');

function serve() {
  const server = net.createServer({ noDelay: true }, (conn) => {
    conn.on('data', (piece) => conn.write(piece));
    conn.on('error', () => conn.destroy());
  });
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
    console.log(`listening on 127.0.0.1:${server.address().port}`);
  });
}

const FOR_GOOD = 3600; // seconds

const sleep = (seconds) =>
  new Promise((done) => setTimeout(done, seconds * 1000));

const bodies = {
  spawn: async (i) => i,
  yield: async () => {
    for (let i = 0; i < 10; i++) await undefined;
  },
  sleep: (i) => sleep((i % 11) / 1000),
  idle: () => sleep(FOR_GOOD),
};

function report(kind, n, cpu, bytes) {
  const us = (cpu.user + cpu.system) / n;
  console.log(`kind=${kind} n=${n} cpu_us_per_task=${us.toFixed(4)} ` +
    `bytes_per_task=${Math.round(Math.max(0, bytes) / n)}`);
}

async function measure(kind, n) {
  const cpu = process.cpuUsage();
  const before = process.memoryUsage.rss();
  const tasks = new Array(n);
  for (let i = 0; i < n; i++) tasks[i] = bodies[kind](i);
  const bytes = process.memoryUsage.rss() - before;
  if (kind !== 'idle') await Promise.all(tasks);
  report(kind, n, process.cpuUsage(cpu), bytes);
  process.exit(0);
}

const [kind, n] = process.argv.slice(2);
if (kind === 'echo') serve();
else measure(kind, Number(n));
