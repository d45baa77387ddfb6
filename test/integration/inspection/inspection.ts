import { Test, type TestingModule } from '@nestjs/testing';
import { LoggerModule } from 'nestjs-pino';
import { InspectionModule, type InspectionOptions } from '#libs/inspection';
import { HealthModule } from '#libs/runtime';
import { LIMITS } from './readers.harness.js';

/** Starts the module with one real child process, which reads files in `spoolFolder`, a folder of mode 0711. */
export async function startInspection(
  spoolFolder: string,
  options: Partial<InspectionOptions> = {},
): Promise<TestingModule> {
  const module = await Test.createTestingModule({
    imports: [
      LoggerModule.forRoot({ pinoHttp: { level: 'silent' }, forRoutes: [] }),
      HealthModule.forRoot(),
      InspectionModule.forRoot({
        ...LIMITS,
        processes: 1,
        seconds: 20,
        memoryBytes: 512 * 2 ** 20,
        spoolFolder,
        ...options,
      }),
    ],
  }).compile();
  return module.init();
}
