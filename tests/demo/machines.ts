import { VNC_ACCOUNT } from '../../broker/domain/vnc.ts'
import type { LabPlant, LabTarget } from '../lab/plant.ts'
import { startEngineeringStation } from './engineering-station.ts'
import { startHmi } from './hmi.ts'
import { startPlcStation } from './plc-station.ts'

export type Machine = Pick<Parameters<LabPlant['asset']>[0], 'name' | 'criticality' | 'about' | 'vnc' | 'rdp'>

/** The machines of the demo's plant that run everywhere, in words that a plant manager would use. */
export const MACHINES: readonly Machine[] = [
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
  {
    name: 'Mixing station 3',
    criticality: 'C3',
    about: {
      type: 'hmi',
      description: 'Operator panel of the primer mixing station, tank T-301 and pump P-301',
      owner: 'Paint shop',
      hazard: 'A pump stopped by mistake starves the filler; an overfilled tank spills primer.',
    },
    vnc: { security: 'plain', authentication: 'password' },
  },
]

/** One that runs only where xrdp does. */
export const PLC_STATION: Machine = {
  name: 'Paint line 1',
  criticality: 'C3',
  about: {
    type: 'engineering-station',
    description: 'Engineering station with the program of PLC-07, conveyor C-12 and spray booth',
    owner: 'Paint shop',
    hazard: 'A wrong interlock moves a body while somebody is in the booth; a download stops the line.',
  },
  rdp: { security: 'tls' },
}

/** Lets a machine run: the panel over VNC, the paint line's station over RDP, the others over SSH. `target` is where it listens, and its login. */
export async function startMachine(
  machine: Machine,
): Promise<{ target: LabTarget & { password: string }; stop(): Promise<void> }> {
  if (machine.vnc) {
    // VncAuth knows no user, and reads eight characters of a password.
    const login = { user: VNC_ACCOUNT, password: crypto.randomUUID().slice(0, 8) }
    const hmi = await startHmi({ password: login.password, timeZone: 'Europe/Vienna' })
    return { target: { port: hmi.port, ...login }, stop: () => hmi.stop() }
  }
  if (machine.rdp) {
    const station = await startPlcStation()
    const { port, user, password } = station
    return { target: { port, user, password }, stop: () => station.stop() }
  }
  const login = { user: 'service', password: crypto.randomUUID() }
  const station = await startEngineeringStation(login)
  return { target: { port: station.port, ...login }, stop: () => station.stop() }
}
