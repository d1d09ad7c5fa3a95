import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/vm/**'],
    testTimeout: 30_000,
    // Forks, not threads: the daemon changes process-wide state (umask, signals, file descriptors).
    pool: 'forks',
  },
});
