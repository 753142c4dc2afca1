"""Words for the sentences that must not wake anything: what fills the slots of `steps.sentences`.

Everyday English, chosen for many different sounds; no two lists share a purpose.
"""

from __future__ import annotations

from typing import Final

__all__ = ["LONE_SLOTS", "WORDS"]


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.replace("\n", " ").split(","))


WORDS: Final[dict[str, tuple[str, ...]]] = {
    "name": _list("""
        Aaron, Abigail, Adele, Agnes, Alan, Alice, Andrea, Angus, Anita, Anton, Arthur, Barbara, Beatrice,
        Benjamin, Bernard, Bianca, Boris, Bridget, Bruno, Caleb, Camilla, Carlos, Carmen, Cecilia, Charlotte,
        Chloe, Clara, Conrad, Craig, Dahlia, Daniel, Daphne, Deborah, Derek, Diana, Dominic, Doris, Duncan,
        Edgar, Eleanor, Elijah, Emma, Eric, Esther, Eugene, Fatima, Felix, Fiona, Florence, Frances, Gabriel,
        Geoffrey, George, Gloria, Grace, Graham, Greta, Hannah, Harold, Hector, Helen, Hugo, Ian, Imogen,
        Ingrid, Isaac, Ivan, Jacob, Jasmine, Jerome, Joanna, Jonathan, Joseph, Judith, Julian, Karen, Keith,
        Kenneth, Kieran, Laura, Leonard, Lorenzo, Louise, Lucas, Lydia, Magnus, Marcus, Margaret, Martha,
        Matilda, Maurice, Max, Mia, Michael, Miriam, Monica, Nadia, Natalie, Neil, Nicholas, Nigel, Noah, Norma,
        Olga, Oliver, Oscar, Pamela, Patrick, Paula, Peter, Philippa, Quentin, Rachel, Raymond, Rebecca, Robert,
        Rosa, Rowan, Rupert, Samuel, Sandra, Sebastian, Sharon, Simon, Sofia, Stella, Stephen, Susan, Theodore,
        Thomas, Timothy, Trevor, Ursula, Vanessa, Victor, Vincent, Violet, Walter, Wendy, Wilfred, Xavier,
        Yasmin, Yusuf, Zachary, Zoe"""),
    "place": _list("""
        Athens, Bangkok, Barcelona, Berlin, Birmingham, Boston, Brussels, Budapest, Cairo, Calgary, Chicago,
        Copenhagen, Dallas, Delhi, Denver, Dublin, Edinburgh, Florence, Geneva, Glasgow, Helsinki, Istanbul,
        Jakarta, Johannesburg, Kansas, Kyoto, Lagos, Lisbon, Liverpool, London, Madrid, Manchester, Melbourne,
        Memphis, Milan, Montreal, Moscow, Munich, Nairobi, Naples, Nevada, Oslo, Ottawa, Paris, Philadelphia,
        Portland, Prague, Quebec, Rome, Santiago, Seattle, Seoul, Shanghai, Singapore, Stockholm, Sydney, Tokyo,
        Toronto, Vancouver, Venice, Vienna, Warsaw, Wellington, Zurich"""),
    "animal": _list("""
        ant, badger, bat, bear, bee, buffalo, butterfly, camel, cat, chicken, cow, crab, crocodile, crow, deer,
        dog, dolphin, donkey, dragonfly, duck, eagle, elephant, fox, frog, giraffe, goat, goose, hamster,
        hedgehog, horse, kangaroo, kitten, lizard, lobster, mouse, octopus, otter, owl, panda, parrot, penguin,
        pigeon, puppy, rabbit, raccoon, salmon, shark, sheep, snail, spider, squirrel, swan, tiger, tortoise,
        turkey, whale, wolf, zebra"""),
    "food": _list("""
        apple pie, bacon, bananas, beans, biscuits, bread, broccoli, butter, cabbage, carrots, cereal, cheese,
        cherries, chicken soup, chocolate, coffee, cookies, cucumber, curry, eggs, fish, garlic, ginger, grapes,
        honey, ice cream, jam, ketchup, lasagna, lemons, lentils, lettuce, mashed potatoes, mushrooms, mustard,
        noodles, nuts, olives, onions, oranges, pancakes, pasta, peaches, peanuts, pepper, pickles, pineapple,
        pizza, popcorn, porridge, pumpkin, rice, salad, sausages, spinach, strawberries, sugar, tea, toast,
        tofu, tomatoes, vegetables, vinegar, walnuts, watermelon, yogurt"""),
    "thing": _list("""
        alarm clock, antenna, backpack, balloon, basket, battery, bicycle, blanket, bottle, bowl, box, bracelet,
        brush, bucket, camera, candle, carpet, chair, charger, clock, coat, comb, contract, couch, cupboard,
        curtain, cushion, desk, diary, dictionary, dishwasher, drawer, drum, envelope, fence, flashlight,
        folder, fork, freezer, fridge, glasses, gloves, guitar, hammer, hat, helmet, jacket, kettle, keyboard,
        keys, knife, ladder, lamp, laptop, letter, lighter, magazine, map, medicine, mirror, necklace,
        newspaper, notebook, oven, paintbrush, passport, pencil, phone, piano, picture, pillow, plate, pocket,
        printer, purse, radio, remote, ring, rope, saucepan, scarf, scissors, screen, screwdriver, shelf, shoes,
        shovel, shower, sofa, spoon, stapler, suitcase, sweater, table, telescope, television, tent, ticket,
        toaster, toolbox, toothbrush, towel, trumpet, typewriter, umbrella, vacuum, vase, violin, wallet,
        washing machine, watch, whistle, window, zipper"""),
    "room": _list("""
        attic, balcony, basement, bathroom, bedroom, cellar, corridor, dining room, garage, garden, hall,
        kitchen, laundry, library, living room, nursery, office, pantry, porch, staircase, studio, workshop"""),
    "venue": _list("""
        airport, bakery, bank, barber, beach, bookshop, bridge, bus stop, butcher, castle, cathedral, church,
        cinema, college, courthouse, dentist, factory, farm, forest, gallery, gym, harbour, hospital, hotel,
        lake, market, museum, park, pharmacy, playground, police station, post office, prison, restaurant,
        river, school, stadium, station, supermarket, theatre, town hall, university, village, zoo"""),
    "job": _list("""
        accountant, actor, architect, artist, astronaut, baker, builder, bus driver, butler, captain, carpenter,
        chef, cleaner, coach, dancer, dentist, detective, doctor, editor, electrician, engineer, farmer,
        firefighter, fisherman, gardener, guard, hairdresser, inspector, inventor, journalist, judge, lawyer,
        librarian, manager, mechanic, miner, musician, neighbour, nurse, painter, pilot, plumber, poet,
        policeman, president, professor, sailor, scientist, secretary, sergeant, singer, soldier, surgeon,
        tailor, teacher, translator, vet, waiter, witness"""),
    "colour": _list("""
        amber, beige, black, blue, bright yellow, brown, crimson, dark green, golden, grey, ivory, lavender,
        navy, olive, orange, pale blue, pink, purple, red, scarlet, silver, turquoise, violet, white, yellow"""),
    "adjective": _list("""
        ancient, angry, awful, awkward, beautiful, boring, brave, brilliant, broken, calm, careful, cheap,
        clean, clever, cold, comfortable, common, confused, crazy, curious, dangerous, delicious, difficult,
        dirty, dry, early, easy, empty, enormous, excellent, expensive, famous, fantastic, fast, fragile, fresh,
        friendly, funny, gentle, gorgeous, happy, heavy, helpful, hollow, honest, horrible, hungry, impossible,
        interesting, jealous, kind, lazy, loud, lovely, lucky, magnificent, modern, mysterious, narrow, nervous,
        noisy, obvious, ordinary, perfect, polite, poor, proud, quick, quiet, ridiculous, rude, sad, scary,
        serious, sharp, shiny, short, silly, sleepy, slow, smooth, soft, sour, strange, strong, stubborn,
        sudden, sweet, tall, terrible, thick, thin, tired, tiny, ugly, unusual, useful, valuable, warm, weird,
        wild, wonderful, young"""),
    "adverb": _list("""
        accidentally, actually, again, almost, always, badly, barely, carefully, certainly, completely,
        definitely, eventually, exactly, finally, frequently, gently, gradually, hardly, honestly, immediately,
        loudly, maybe, nearly, never, obviously, occasionally, often, perhaps, politely, probably, quickly,
        quietly, rarely, really, recently, seriously, simply, slowly, sometimes, somehow, suddenly, surely,
        together, usually"""),
    "do": _list("""
        add, ask for, avoid, borrow, break, bring, build, buy, carry, catch, change, check, choose, clean,
        close, collect, copy, count, cover, cut, deliver, describe, draw, drop, exchange, explain, find, finish,
        fix, follow, forget, grab, guard, hide, hold, ignore, improve, inspect, keep, leave, lift, lock, lose,
        mend, mention, move, notice, offer, open, order, pack, paint, pick up, polish, prepare, print, protect,
        pull, push, put away, read, remove, repair, replace, return, save, sell, send, share, shut, sign, sort,
        steal, store, study, throw away, touch, trade, try, turn over, use, wash, watch, weigh, wrap"""),
    "did": _list("""
        added, bought, broke, brought, built, burned, carried, caught, chose, cleaned, closed, copied,
        delivered, drew, dropped, fixed, forgot, found, gave away, hid, ignored, invented, kicked, kept, left,
        liked, lost, mended, missed, moved, needed, noticed, opened, ordered, packed, painted, photographed,
        pulled, pushed, remembered, repaired, returned, saved, saw, sold, stole, threw away, touched, tried,
        used, wanted, washed, watched"""),
    "go": _list("""
        arrive, begin, breathe, complain, cough, cry, dance, dream, drive, escape, exercise, fall asleep, fight,
        go home, go outside, hurry, jump, laugh, leave, listen, pray, relax, rest, retire, run, scream, shout,
        sing, sit down, sleep, smile, stand up, stay, stop, swim, talk, think, travel, vote, wait, wake up,
        walk, whisper, win, work, yawn"""),
    "number": _list("""
        zero, one, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen,
        fifteen, sixteen, seventeen, eighteen, nineteen, twenty, twenty one, twenty four, thirty, thirty six,
        forty, forty two, fifty, fifty five, sixty, sixty eight, seventy, seventy three, eighty, eighty nine,
        ninety, ninety seven, one hundred, two hundred, three hundred fifty, five hundred, a thousand, two
        thousand, ten thousand, a million"""),
    "ordinal": _list("""
        first, second, third, fourth, fifth, sixth, seventh, eighth, ninth, tenth, eleventh, twelfth, fifteenth,
        eighteenth, twentieth, twenty second, thirtieth"""),
    "day": _list("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "month": _list("""
        January, February, March, April, May, June, July, August, September, October, November, December"""),
    "hour": _list("""
        one o'clock, two o'clock, half past three, quarter to four, five fifteen, six thirty, seven, eight
        twenty, nine forty five, ten o'clock, eleven ten, noon, midnight"""),
    "when": _list("""
        after dinner, at night, before breakfast, during the holidays, every evening, every single day, in the
        afternoon, in the morning, last night, last summer, next week, next year, on the weekend, once a month,
        right now, the day before yesterday, this afternoon, this morning, tomorrow, tonight, twice a week,
        yesterday"""),
    "time_unit": _list("seconds, minutes, hours, days, weeks, months, years"),
    "weather": _list("""
        clear skies, drizzle, fog, freezing rain, frost, hail, heavy snow, high winds, light rain, a storm,
        sunshine, thick clouds, thunder, a warm breeze"""),
    "sport": _list("""
        badminton, baseball, basketball, boxing, chess, cricket, cycling, football, golf, gymnastics, hockey,
        judo, rowing, rugby, running, sailing, skiing, swimming, table tennis, tennis, volleyball, wrestling,
        yoga"""),
    "subject": _list("""
        algebra, art, astronomy, biology, chemistry, cooking, drama, economics, fashion, film, gardening,
        geography, grammar, history, jazz, law, medicine, music, philosophy, photography, physics, poetry,
        politics, psychology, religion, science, traffic, travel"""),
    "feeling": _list("""
        afraid, amazed, annoyed, ashamed, bored, confident, delighted, disappointed, embarrassed, excited,
        grateful, hopeful, lonely, nervous, proud, relieved, satisfied, shocked, surprised, thankful, upset,
        worried"""),
    "device": _list("""
        air conditioner, blinds, ceiling fan, coffee maker, dehumidifier, doorbell, fountain, garage door,
        heater, lights, music, oven, podcast, projector, robot vacuum, sprinklers, stereo, thermostat, timer,
        volume"""),
    "abstract": _list("""
        accident, advantage, advice, agreement, ambition, answer, argument, attention, balance, beginning,
        behaviour, benefit, business, chance, charity, choice, comfort, concern, conclusion, confidence,
        confusion, courage, crisis, culture, damage, danger, deadline, decision, demand, difference, discovery,
        distance, doubt, duty, effort, election, emergency, energy, evidence, example, excuse, failure, fashion,
        freedom, friendship, future, guess, habit, holiday, honour, idea, importance, information, insurance,
        interest, journey, justice, knowledge, lesson, luck, memory, message, method, mistake, moment, mystery,
        nonsense, opinion, opportunity, pleasure, pressure, problem, progress, promise, purpose, quality,
        question, reason, relationship, respect, result, rumour, safety, secret, service, silence, situation,
        society, solution, story, success, suggestion, surprise, system, talent, temperature, tradition, truth,
        vacation, victory, wisdom"""),
    "interjection": _list("""
        absolutely, ah, alright, amazing, bless you, bravo, bye, careful, cheers, come in, come on,
        congratulations, enough, exactly, excuse me, fair enough, goodbye, good evening, good grief, good luck,
        good morning, good night, great, hang on, happy birthday, help, hello, hello there, hey, hey you, hi,
        hmm, hold on, hurry up, I see, indeed, just a second, later, let's go, listen, look, my goodness, never
        mind, nice, no, no problem, no way, nope, not yet, of course, oh, oh dear, oh no, okay, ouch, over here,
        pardon, perfect, please, quiet, ready, really, right, shut up, so what, sorry, stop, stop it, sure, take
        care, thanks, thank you, uh huh, um, wait, watch out, welcome, well, what, well done, who, whoops, why,
        why not, wow, yeah, yep, yes, yes please, you bet"""),
}
# Lists whose items are said alone, as people do when they answer, read out or call someone.
LONE_SLOTS: Final = (
    *("name", "place", "animal", "food", "thing", "room", "venue", "job", "colour", "adjective", "adverb", "do", "did"),
    *("go", "number", "ordinal", "day", "month", "hour", "sport", "subject", "feeling", "abstract", "interjection"),
    *("interjection", "name", "number"),
)
