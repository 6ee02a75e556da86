// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import "slices"

// firstChunk is how many numbers are looked at first.
const firstChunk = 512

// ascend yields what load finds among the numbers from to to, in ascending
// order, until yield returns false or an error. The store is in descending
// order: load appends what it finds in a range, newest first, and may stop
// after more than limit. So much is held in memory, and stretches of numbers
// of which nothing is there are stepped over, however long they are.
func ascend[T any](from, to uint64, limit int, load func(dst []T, from, to uint64) ([]T, error), yield func(T) (more bool, err error)) error {
	var chunk []T
	for width := uint64(firstChunk); from <= to; {
		last := from + min(width-1, to-from)
		var err error
		if chunk, err = load(chunk[:0], from, last); err != nil {
			return err
		}
		if len(chunk) > limit { // they are dense: not so many at once
			width /= 2
			continue
		}
		for _, v := range slices.Backward(chunk) {
			if more, err := yield(v); err != nil || !more {
				return err
			}
		}
		if last == to {
			return nil
		}
		from = last + 1
		if len(chunk) > 0 {
			width = firstChunk
		} else if width < 1<<62 {
			width *= 2
		}
	}
	return nil
}
