// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package anomaly

// window holds the newest of what is put into it. The zero value holds nothing and
// needs a limit.
type window[T any] struct {
	limit int
	items []T
	first int // the place of the oldest once the limit is reached; 0 before
}

// put adds an item, and returns the one that had to go for it.
func (w *window[T]) put(item T) (gone T, full bool) {
	if len(w.items) < w.limit {
		w.items = append(w.items, item)
		return gone, false
	}
	gone, w.items[w.first] = w.items[w.first], item
	w.first = (w.first + 1) % w.limit
	return gone, true
}

// all yields what is held, the oldest first.
func (w *window[T]) all(yield func(*T) bool) {
	for i := range w.items {
		if !yield(&w.items[(w.first+i)%len(w.items)]) {
			return
		}
	}
}
