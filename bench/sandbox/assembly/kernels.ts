// Compute kernels for the bench: the same bytes run plain and metered. Memory is used by hand, below 1 MiB.

const K: StaticArray<u32> = [
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
];
const W: usize = 0x10000;
const DATA: usize = 0x20000;

function block(at: usize, h: usize): void {
  for (let t: usize = 0; t < 16; t++) store<u32>(W + t * 4, bswap<u32>(load<u32>(at + t * 4)));
  for (let t: usize = 16; t < 64; t++) {
    const w15 = load<u32>(W + (t - 15) * 4);
    const w2 = load<u32>(W + (t - 2) * 4);
    const s0 = rotr<u32>(w15, 7) ^ rotr<u32>(w15, 18) ^ (w15 >> 3);
    const s1 = rotr<u32>(w2, 17) ^ rotr<u32>(w2, 19) ^ (w2 >> 10);
    store<u32>(W + t * 4, load<u32>(W + (t - 16) * 4) + s0 + load<u32>(W + (t - 7) * 4) + s1);
  }
  let a = load<u32>(h), b = load<u32>(h, 4), c = load<u32>(h, 8), d = load<u32>(h, 12);
  let e = load<u32>(h, 16), f = load<u32>(h, 20), g = load<u32>(h, 24), i = load<u32>(h, 28);
  for (let t = 0; t < 64; t++) {
    const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
    const t1 = i + s1 + ((e & f) ^ (~e & g)) + unchecked(K[t]) + load<u32>(W + t * 4);
    const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
    const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    i = g; g = f; f = e; e = d + t1; d = c; c = b; b = a; a = t1 + t2;
  }
  store<u32>(h, load<u32>(h) + a); store<u32>(h, load<u32>(h, 4) + b, 4);
  store<u32>(h, load<u32>(h, 8) + c, 8); store<u32>(h, load<u32>(h, 12) + d, 12);
  store<u32>(h, load<u32>(h, 16) + e, 16); store<u32>(h, load<u32>(h, 20) + f, 20);
  store<u32>(h, load<u32>(h, 24) + g, 24); store<u32>(h, load<u32>(h, 28) + i, 28);
}

/** Hashes `rounds` blocks of 64 bytes. */
export function sha256(rounds: i32): u32 {
  const h: usize = W - 64;
  store<u64>(h, 0xbb67ae856a09e667); store<u64>(h, 0xa54ff53a3c6ef372, 8);
  store<u64>(h, 0x9b05688c510e527f, 16); store<u64>(h, 0x5be0cd191f83d9ab, 24);
  for (let round = 0; round < rounds; round++) block(DATA + ((round & 63) << 6), h);
  return load<u32>(h);
}

/** Fills DATA with an array of objects in JSON. Returns its length. */
function writeJson(objects: i32): usize {
  let at = DATA;
  store<u8>(at++, 91);
  for (let n = 0; n < objects; n++) {
    if (n > 0) store<u8>(at++, 44);
    const text = '{"id":12345,"name":"qemu-system","ok":true,"list":[1,22,333,-4.5e3],"none":null}';
    for (let index = 0; index < text.length; index++) store<u8>(at++, <u8>text.charCodeAt(index));
  }
  store<u8>(at++, 93);
  return at - DATA;
}

let at: usize = 0;
let end: usize = 0;

function value(): u32 {
  const first = load<u8>(at);
  if (first == 123 || first == 91) {
    const close: u8 = first + 2;
    let sum: u32 = 1;
    at++;
    while (load<u8>(at) != close) {
      if (load<u8>(at) == 44) at++;
      if (first == 123) { sum += text(); at++; }
      sum += value();
    }
    at++;
    return sum;
  }
  if (first == 34) return text();
  if (first == 45 || (first >= 48 && first <= 57)) {
    let number: u32 = 0;
    for (;;) {
      const byte = load<u8>(at);
      if (byte >= 48 && byte <= 57) number = number * 10 + (byte - 48);
      else if (byte != 45 && byte != 46 && byte != 101) return number;
      at++;
    }
  }
  at += first == 102 ? 5 : 4;
  return first;
}

function text(): u32 {
  let hash: u32 = 0x811c9dc5;
  at++;
  let byte = load<u8>(at++);
  while (byte != 34) {
    if (byte == 92) at++;
    hash = (hash ^ byte) * 0x01000193;
    byte = load<u8>(at++);
  }
  return hash;
}

/** Parses `objects` objects. */
export function json(objects: i32): u32 {
  end = DATA + writeJson(objects);
  at = DATA;
  return value();
}

function quick(low: i32, high: i32): void {
  while (low < high) {
    const pivot = load<u32>(DATA + (<usize>((low + high) >> 1) << 2));
    let i = low, j = high;
    while (i <= j) {
      while (load<u32>(DATA + (<usize>i << 2)) < pivot) i++;
      while (load<u32>(DATA + (<usize>j << 2)) > pivot) j--;
      if (i > j) break;
      const swapped = load<u32>(DATA + (<usize>i << 2));
      store<u32>(DATA + (<usize>i << 2), load<u32>(DATA + (<usize>j << 2)));
      store<u32>(DATA + (<usize>j << 2), swapped);
      i++; j--;
    }
    if (j - low < high - i) { quick(low, j); low = i; } else { quick(i, high); high = j; }
  }
}

/** Sorts `count` numbers. */
export function sort(count: i32): u32 {
  let seed: u32 = 12345;
  for (let n = 0; n < count; n++) {
    seed = seed * 1664525 + 1013904223;
    store<u32>(DATA + (<usize>n << 2), seed);
  }
  quick(0, count - 1);
  return load<u32>(DATA + (<usize>(count >> 1) << 2));
}

/** Multiplies two matrices of `size` squared. */
export function matrix(size: i32): u32 {
  const n = <usize>size;
  const a = DATA, b = DATA + n * n * 8, c = DATA + n * n * 16;
  for (let i: usize = 0; i < n * n; i++) {
    store<f64>(a + i * 8, <f64>(i % 17));
    store<f64>(b + i * 8, <f64>(i % 13));
  }
  for (let i: usize = 0; i < n; i++) {
    for (let j: usize = 0; j < n; j++) {
      let sum: f64 = 0;
      for (let k: usize = 0; k < n; k++) sum += load<f64>(a + (i * n + k) * 8) * load<f64>(b + (k * n + j) * 8);
      store<f64>(c + (i * n + j) * 8, sum);
    }
  }
  return <u32>load<f64>(c + (n * n - 1) * 8);
}

/** The hottest loop there is: four operations a turn. */
export function loop(turns: i32): u32 {
  let x: u32 = 1;
  for (let n = 0; n < turns; n++) x = (x ^ <u32>n) * 0x9e3779b1;
  return x;
}

/** Calls and nothing else. Not part of the mean: no policy is like that. */
export function calls(n: i32): u32 {
  return n < 2 ? n : calls(n - 1) + calls(n - 2);
}
