// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

import (
	"errors"
	"slices"
)

// get returns a small stored value as the batch has left it so far, nil when
// there is none. It must not be modified.
func (c *changes) get(key []byte) ([]byte, error) {
	if value, ok := c.values[string(key)]; ok {
		return value, nil
	}
	value, _, err := c.src.Get(key)
	return value, err
}

// put sets a small value that is read with get. It keeps value.
func (c *changes) put(key, value []byte) {
	c.note(key, value)
	c.batch.Set(key, value)
}

// drop removes a value that is read with get.
func (c *changes) drop(key []byte) {
	c.note(key, nil)
	c.batch.Delete(key)
}

func (c *changes) note(key, value []byte) {
	if c.values == nil {
		c.values = make(map[string][]byte)
	}
	c.values[string(key)] = value
}

// putListed is put for a value that [changes.scan] finds.
func (c *changes) putListed(key, value []byte) {
	c.put(key, value)
	if i, there := slices.BinarySearch(c.listed, string(key)); !there {
		c.listed = slices.Insert(c.listed, i, string(key))
	}
}

// scan calls yield with the values from lower to upper, which were written with
// putListed, in the order of their keys and as the batch has left them so far,
// until it returns false. Yield must not write.
func (c *changes) scan(lower, upper []byte, yield func(key, value []byte) (bool, error)) error {
	it, err := c.src.Iter(lower, upper)
	if err != nil {
		return err
	}
	i, _ := slices.BinarySearch(c.listed, string(lower))
	// written yields what the batch has written before a key, "" for all.
	written := func(before string) (more bool, err error) {
		for more = true; more && err == nil && i < len(c.listed) && c.listed[i] < before; i++ {
			if value := c.values[c.listed[i]]; value != nil {
				more, err = yield([]byte(c.listed[i]), value)
			}
		}
		return more, err
	}
	more := true
	for more && err == nil && it.Next() {
		key := string(it.Key())
		if more, err = written(key); !more || err != nil {
			break
		}
		if _, changed := c.values[key]; !changed { // else it is in listed, if it is still there
			more, err = yield(it.Key(), it.Value())
		}
	}
	if more && err == nil {
		_, err = written(string(upper))
	}
	return errors.Join(err, it.Close())
}
