import type { LabPlant } from '../lab/plant.ts'

/** The machines of the demo's plant, in words that a plant manager would use. */
export const MACHINES: readonly Pick<Parameters<LabPlant['asset']>[0], 'name' | 'criticality' | 'about'>[] = [
  {
    name: 'Robot cell 4',
    criticality: 'C3',
    about: {
      type: 'robot',
      description: 'KR-210 welding robot with gripper B',
      owner: 'Maintenance body shop',
      hazard: 'An unexpected motion can hurt people in the cell; a broken program stops the line.',
    },
  },
  {
    name: 'Press line 2',
    criticality: 'C2',
    about: {
      type: 'plc',
      description: 'Controller of the 1200 t press, left side panels',
      owner: 'Maintenance press shop',
      hazard: 'A wrong axis limit breaks a tool; firmware cut off half-way leaves the press dead.',
    },
  },
  {
    name: 'Test bench',
    criticality: 'C4',
    about: {
      type: 'engineering-station',
      description: 'Spare controller for trying programs out',
      owner: 'Automation group',
      hazard: 'Nothing in production hangs on it.',
    },
  },
]
