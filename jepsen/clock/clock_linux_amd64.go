// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// code is the function that stands in: clock_gettime(clockid, timespec).
var code = []byte{
	0xb8, 0xe4, 0, 0, 0, // mov eax, 228 (clock_gettime)
	0x0f, 0x05, // syscall
	0x85, 0xc0, // test eax, eax
	0x75, 0x0e, // jnz ret
	0x85, 0xff, // test edi, edi (CLOCK_REALTIME is 0)
	0x75, 0x0a, // jnz ret
	0x48, 0x8b, 0x0d, 0x04, 0, 0, 0, // mov rcx, [rip+4] (the offset)
	0x48, 0x01, 0x0e, // add [rsi], rcx
	0xc3, // ret; here lies the offset, 8 bytes in seconds
}

// Clock is the wall clock of a process.
type Clock struct {
	pid    int
	offset int64 // where the offset lies in its memory
}

// Take puts the function in its place. The process stands still for that, and
// goes on afterwards; it must not be stopped by anybody else.
func Take(pid int) (*Clock, error) {
	begin, end, err := vdso(pid)
	if err != nil {
		return nil, fmt.Errorf("clock of process %d: %w", pid, err)
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = memory.Close() }()
	image := make([]byte, end-begin)
	if _, err := memory.ReadAt(image, begin); err != nil {
		return nil, fmt.Errorf("read the vDSO of process %d: %w", pid, err)
	}
	at, size, err := function(image)
	if err != nil {
		return nil, fmt.Errorf("vDSO of process %d: %w", pid, err)
	}
	at += begin
	for range 100 {
		installed, err := install(pid, memory, at, size)
		if err != nil {
			return nil, fmt.Errorf("clock of process %d: %w", pid, err)
		}
		if installed {
			return &Clock{pid: pid, offset: at + int64(len(code))}, nil
		}
		time.Sleep(time.Millisecond)
	}
	return nil, fmt.Errorf("process %d always reads its clock", pid)
}

// install writes the function while the process stands still, unless a thread is
// just in it.
func install(pid int, memory *os.File, at, size int64) (done bool, err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)) }()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, t := range tasks {
		pc, still, err := threadAt(pid, t.Name())
		if err != nil {
			return false, err
		}
		if !still || pc >= at && pc < at+size {
			return false, nil
		}
	}
	// The offset lies behind the code, and is 0 until it is set.
	_, err = memory.WriteAt(append(bytes.Clone(code), make([]byte, 8)...), at)
	return err == nil, err
}

// threadAt returns where a thread is, and whether it stands still.
func threadAt(pid int, task string) (pc int64, still bool, err error) {
	where, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/syscall", pid, task))
	if err != nil {
		return 0, false, err
	}
	fields := strings.Fields(string(where)) // the system call or -1, its arguments, stack pointer, program counter
	if len(fields) < 3 {
		return 0, false, nil // "running"
	}
	_, err = fmt.Sscanf(fields[len(fields)-1], "0x%x", &pc)
	return pc, true, err
}

// vdso returns where the vDSO of a process lies.
func vdso(pid int) (begin, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "[vdso]") {
			_, err := fmt.Sscanf(line, "%x-%x", &begin, &end)
			return begin, end, err
		}
	}
	return 0, 0, errors.New("it has no vDSO")
}

// function returns where clock_gettime lies in a vDSO.
func function(image []byte) (at, size int64, err error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, 0, err
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, 0, err
	}
	base := uint64(0)
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			base = p.Vaddr
			break
		}
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" {
			if s.Size < uint64(len(code)+8) {
				return 0, 0, fmt.Errorf("clock_gettime has %d bytes, too few", s.Size)
			}
			return int64(s.Value - base), int64(s.Size), nil
		}
	}
	return 0, 0, errors.New("it has no clock_gettime")
}

// Set makes the wall clock differ from the machine's by whole seconds, from now
// on and all at once.
func (c *Clock) Set(offset time.Duration) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", c.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = memory.Close() }()
	seconds := binary.LittleEndian.AppendUint64(nil, uint64(offset/time.Second))
	if _, err := memory.WriteAt(seconds, c.offset); err != nil {
		return fmt.Errorf("set the clock of process %d: %w", c.pid, err)
	}
	return nil
}
